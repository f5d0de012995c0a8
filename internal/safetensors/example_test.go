package safetensors_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/geotune/geotune/internal/safetensors"
)

func ExampleWrite() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "adapter_model.safetensors")
	err = safetensors.Write(path, []safetensors.Tensor{
		safetensors.Floats("layers.0.lora_A.weight", safetensors.BF16, []int{2, 3}, []float32{1, 2, 3, 4, 5, 6}),
	}, map[string]string{"format": "pt"})
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := safetensors.Open(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	for _, name := range s.Names() {
		info, _ := s.Info(name)
		v, err := s.Float32(name)
		fmt.Println(name, info.DType, info.Shape, v, err)
	}
	// Output: layers.0.lora_A.weight BF16 [2 3] [1 2 3 4 5 6] <nil>
}
