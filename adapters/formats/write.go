package formats

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/geotune/geotune/internal/atomicfile"
)

// Write replaces the directory at path by one with the adapter: in PEFT's layout, or for plain weights one with model.safetensors.
// PEFT loads it without a warning; at any moment the old or the new content is there.
func Write(path string, a *Adapter) error {
	err := atomicfile.WriteDir(path, func(dir string) error { return a.write(dir, filepath.Base(path)) })
	if err != nil {
		return fmt.Errorf("formats: write %s: %w", path, err)
	}
	return nil
}

func (a *Adapter) write(dir, name string) error {
	if a.Settings == nil {
		return a.Tensors.write(filepath.Join(dir, WeightsFile))
	}
	if err := a.Settings.check(a.Tensors); err != nil {
		return err
	}
	config, err := FormatConfig(a.Settings, a.Header)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, ConfigFile), config, 0o666); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, CardFile), a.card(name), 0o666); err != nil {
		return err
	}
	named := make(Tensors, len(a.Tensors))
	for path, x := range a.Tensors {
		named[a.Prefix+path] = x
	}
	return named.write(filepath.Join(dir, TensorFile))
}

// FormatConfig returns the text of an adapter_config.json as PEFT writes it: sorted keys, indented by two spaces.
func FormatConfig(s Settings, h Header) ([]byte, error) {
	fields := h.fields()
	for key, value := range s.fields() {
		if _, taken := fields[key]; taken {
			return nil, errors.New("settings repeat the header's key " + key)
		}
		fields[key] = value
	}
	fields["peft_type"] = s.PEFTType()
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(fields); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), nil
}
