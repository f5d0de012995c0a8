package formats

import "encoding/json"

// Adapter is the content of an adapter file or directory.
type Adapter struct {
	// Format names what was recognised, e.g. "PEFT directory", and Why says by what.
	Format, Why string
	// Path is where it was read from.
	Path string
	// Settings is nil where the file holds plain weights.
	Settings Settings
	Header   Header
	// Prefix stood before every tensor's path in the file; Tensors are kept under their paths.
	Prefix  string
	Tensors Tensors
	// Notes tell what a user should know about the file.
	Notes []string
}

// Settings is what adapter_config.json says about one type of adapter; see [LoRA].
type Settings interface {
	// PEFTType returns the value of the key peft_type.
	PEFTType() string
	// fields returns the keys that belong to the type.
	fields() map[string]any
	// check compares the settings with the tensors of the file.
	check(Tensors) error
}

// settings lists the types of adapters by peft_type.
var settings = map[string]func(*object) (Settings, error){
	"LORA": readLoRA,
}

// Header holds the keys of adapter_config.json that do not depend on the type.
type Header struct {
	// Base is the directory or the name on the Hugging Face hub of the base model.
	Base     string
	Revision string
	// Task is PEFT's task_type, e.g. CAUSAL_LM; empty for none.
	Task string
	// Mapping is auto_mapping, which PEFT uses where task_type is absent.
	Mapping json.RawMessage
	// Version is the release of PEFT whose meaning of the file is meant.
	Version string
}

// peftVersion is the release of PEFT whose format is written.
const peftVersion = "0.20.0"

func readHeader(o *object) Header {
	o.ignore("peft_type", "inference_mode")
	return Header{
		Base:     take(o, "base_model_name_or_path", ""),
		Revision: take(o, "revision", ""),
		Task:     take(o, "task_type", ""),
		Mapping:  take[json.RawMessage](o, "auto_mapping", nil),
		Version:  take(o, "peft_version", ""),
	}
}

// fields returns the header's keys; PEFT tells an absent text from an empty one only for the base model.
func (h Header) fields() map[string]any {
	version := h.Version
	if version == "" {
		version = peftVersion
	}
	f := map[string]any{
		"base_model_name_or_path": h.Base, "revision": nil, "task_type": nil, "auto_mapping": nil,
		"peft_version": version, "inference_mode": true,
	}
	if h.Revision != "" {
		f["revision"] = h.Revision
	}
	if h.Task != "" {
		f["task_type"] = h.Task
	}
	if len(h.Mapping) > 0 {
		f["auto_mapping"] = h.Mapping
	}
	return f
}
