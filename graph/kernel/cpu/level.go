package cpu

import (
	"os"
	"sync/atomic"
)

// level is an instruction set with kernels of its own.
type level int32

const (
	generic level = iota // portable Go
	avx2                 // AVX2 and FMA
	avx512               // AVX-512 F, DQ, BW and VL
	neon                 // Advanced SIMD of arm64
)

var levelNames = [...]string{"generic", "avx2", "avx512", "neon"}

func (l level) String() string { return levelNames[l] }

// current is the level in use. Only tests change it after start.
var current atomic.Int32

func init() { current.Store(int32(startLevel(os.Getenv("GEOTUNE_CPU"), machineLevels()))) }

// startLevel returns the level of the given name, the best one the machine has for any other name or a level it lacks.
func startLevel(name string, have []level) level {
	for _, l := range have {
		if l.String() == name {
			return l
		}
	}
	return have[len(have)-1]
}

func currentLevel() level { return level(current.Load()) }

// Level returns the name of the instruction set in use: "avx512" or "avx2" on amd64, "neon" on arm64, or "generic". The environment
// variable GEOTUNE_CPU set to one of them at start forbids the better ones.
func Level() string { return currentLevel().String() }
