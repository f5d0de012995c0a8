package formats_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/geotune/geotune/adapters/formats"
)

// FuzzParseConfig checks that any text gives an error or settings that survive being written and read again.
func FuzzParseConfig(f *testing.F) {
	for _, dir := range loraCases(f) {
		text, err := os.ReadFile(filepath.Join(dir, formats.ConfigFile))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"peft_type":"LORA","layers_to_transform":3,"target_modules":"(?=q)q","init_lora_weights":false,"layers_pattern":"h"}`))
	f.Add([]byte(`{"peft_type":"LORA","r":1e400}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, h, err := formats.ParseConfig(text)
		if err != nil {
			return
		}
		first, err := formats.FormatConfig(s, h)
		if err != nil {
			t.Fatalf("settings of %q cannot be written: %v", text, err)
		}
		s, h, err = formats.ParseConfig(first)
		if err != nil {
			t.Fatalf("own config %s: %v", first, err)
		}
		second, err := formats.FormatConfig(s, h)
		if err != nil || !bytes.Equal(first, second) {
			t.Fatalf("config changed from %s to %s: %v", first, second, err)
		}
	})
}
