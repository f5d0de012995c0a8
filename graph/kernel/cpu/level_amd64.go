package cpu

import "golang.org/x/sys/cpu"

// bestLevel asks the processor. Half-precision conversion (F16C) is older than AVX2 and present wherever AVX2 is.
func bestLevel() level {
	x := &cpu.X86
	switch {
	case !x.HasAVX2 || !x.HasFMA || !x.HasBMI2:
		return generic
	case x.HasAVX512F && x.HasAVX512DQ && x.HasAVX512BW && x.HasAVX512VL:
		return avx512
	}
	return avx2
}
