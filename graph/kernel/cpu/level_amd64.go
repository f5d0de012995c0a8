package cpu

import "golang.org/x/sys/cpu"

// machineLevels returns the levels that this machine has, weakest first. Half-precision conversion (F16C) is older than AVX2 and present
// wherever AVX2 is.
func machineLevels() []level {
	x := &cpu.X86
	switch {
	case !x.HasAVX2 || !x.HasFMA || !x.HasBMI2:
		return []level{generic}
	case x.HasAVX512F && x.HasAVX512DQ && x.HasAVX512BW && x.HasAVX512VL:
		return []level{generic, avx2, avx512}
	}
	return []level{generic, avx2}
}
