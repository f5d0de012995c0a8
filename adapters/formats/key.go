package formats

import "strings"

// Prefix is what PEFT puts before the path of every module in the names of its tensors. Adapters that diffusers models save have none.
const Prefix = "base_model.model."

// The kinds of tensors in a LoRA file, by the end of their paths. What has none of these endings is a plain parameter of the model
// under its own path: a trained bias, or a part of a module of modules_to_save.
const (
	KindA          = "lora_A.weight"
	KindB          = "lora_B.weight"
	KindBBias      = "lora_B.bias"
	KindEmbeddingA = "lora_embedding_A"
	KindEmbeddingB = "lora_embedding_B"
	KindMagnitude  = "lora_magnitude_vector"
	KindBaseWeight = "base_layer.weight" // the adapted layer's own weight, which PEFT saves along with adapted embeddings
	KindBaseBias   = "base_layer.bias"   // the adapted layer's own bias, trained
	KindPlain      = ""
)

var kinds = [...]string{KindA, KindB, KindBBias, KindEmbeddingA, KindEmbeddingB, KindMagnitude, KindBaseWeight, KindBaseBias}

// Key is the path of a tensor taken apart: the module and the kind, or the parameter's path where the kind is plain.
type Key struct{ Module, Kind string }

// String returns the path, the tensor's name in the file without [Prefix].
func (k Key) String() string {
	if k.Kind == KindPlain {
		return k.Module
	}
	return k.Module + "." + k.Kind
}

// ParseKey takes the path of a tensor apart.
func ParseKey(path string) Key {
	for _, kind := range kinds {
		if module, found := strings.CutSuffix(path, "."+kind); found && module != "" {
			return Key{module, kind}
		}
	}
	return Key{path, KindPlain}
}
