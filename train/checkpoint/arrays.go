package checkpoint

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/geotune/geotune/internal/safetensors"
	"github.com/geotune/geotune/optim"
)

// encode stores an array of the optimizer's state without loss.
func encode(a optim.Array) safetensors.Tensor {
	switch {
	case a.F64 != nil:
		data := make([]byte, 0, 8*len(a.F64))
		for _, v := range a.F64 {
			data = binary.LittleEndian.AppendUint64(data, math.Float64bits(v))
		}
		return safetensors.Raw(a.Name, safetensors.F64, []int{len(a.F64)}, data)
	case a.I64 != nil:
		return safetensors.Integers(a.Name, []int{len(a.I64)}, a.I64)
	}
	return safetensors.Floats(a.Name, safetensors.F32, []int{len(a.F32)}, a.F32)
}

func decode(set *safetensors.Set, name string) (a optim.Array, err error) {
	a.Name = name
	info, _ := set.Info(name)
	switch info.DType {
	case safetensors.F32:
		a.F32, err = set.Float32(name)
	case safetensors.I64:
		a.I64, err = set.Int64(name)
	case safetensors.F64:
		var data []byte
		data, err = set.Bytes(name)
		for i := 0; i+8 <= len(data); i += 8 {
			a.F64 = append(a.F64, math.Float64frombits(binary.LittleEndian.Uint64(data[i:])))
		}
	default:
		err = fmt.Errorf("tensor %q: found type %v, expected F32, F64 or I64", name, info.DType)
	}
	return a, err
}
