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

// FuzzReadBareFile checks that any safetensors file gives an error or an adapter that can be described, written and read again.
func FuzzReadBareFile(f *testing.F) {
	dir := filepath.Join(f.TempDir(), "seed")
	if err := formats.Write(dir, tiny()); err != nil {
		f.Fatal(err)
	}
	seed, err := os.ReadFile(filepath.Join(dir, formats.TensorFile))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add(bytes.ReplaceAll(seed, []byte("[1,3]"), []byte("[0,3]")))
	f.Add(bytes.ReplaceAll(seed, []byte("lora_A.weight"), []byte("lora_B.biases")))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "x.safetensors")
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
		a, err := formats.Read(path, nil)
		if err != nil {
			return
		}
		if _, err := a.Describe(); err != nil {
			return // NaN
		}
		out := filepath.Join(t.TempDir(), "out")
		if err := formats.Write(out, a); err != nil {
			t.Fatalf("read but cannot be written: %v", err)
		}
		again, err := formats.Read(out, nil)
		if err != nil {
			t.Fatalf("written but cannot be read: %v", err)
		}
		sameTensors(t, again.Tensors, a.Tensors)
	})
}
