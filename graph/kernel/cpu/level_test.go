package cpu

import (
	"testing"
	"unsafe"
)

// eachLevel runs f once for each level this machine has.
func eachLevel(t *testing.T, f func(t *testing.T)) {
	defer current.Store(current.Load())
	for _, l := range machineLevels() {
		current.Store(int32(l))
		t.Run(l.String(), f)
	}
}

func TestStartLevelNeverExceedsTheMachine(t *testing.T) {
	for _, c := range []struct {
		name string
		have []level
		want level
	}{
		{"", []level{generic, avx2, avx512}, avx512}, {"", []level{generic}, generic}, {"generic", []level{generic, avx2, avx512}, generic},
		{"avx2", []level{generic, avx2, avx512}, avx2}, {"avx512", []level{generic, avx2}, avx2}, {"sse9", []level{generic, avx2}, avx2},
		{"neon", []level{generic, avx2}, avx2}, {"neon", []level{generic, neon}, neon}, {"avx2", []level{generic, neon}, neon},
	} {
		if got := startLevel(c.name, c.have); got != c.want {
			t.Errorf("startLevel(%q, %v) = %v, want %v", c.name, c.have, got, c.want)
		}
	}
}

func TestAssemblyKnowsTheLayoutOfTile(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("the kernels exist for 64-bit machines only")
	}
	var v tile
	got := []uintptr{unsafe.Offsetof(v.k), unsafe.Offsetof(v.a), unsafe.Offsetof(v.b), unsafe.Offsetof(v.c), unsafe.Offsetof(v.d),
		unsafe.Offsetof(v.rsa), unsafe.Offsetof(v.csa), unsafe.Offsetof(v.ldb), unsafe.Offsetof(v.ldc), unsafe.Offsetof(v.ldd), unsafe.Offsetof(v.cols),
		unsafe.Offsetof(v.alpha), unsafe.Offsetof(v.beta), unsafe.Offsetof(v.prefetch), unsafe.Offsetof(v.prefetchStep)}
	for i, want := range []uintptr{0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 92, 96, 104} {
		if got[i] != want {
			t.Errorf("field %d of tile is at %d; the generator says %d", i, got[i], want)
		}
	}
}

func TestAssemblyKnowsTheLayoutOfActivationCall(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("the kernels exist for 64-bit machines only")
	}
	var v activationCall
	if n, vectors := unsafe.Offsetof(v.n), unsafe.Offsetof(v.vectors); n != 0 || vectors != 8 {
		t.Errorf("the fields of activationCall are at %d and %d; the generator says 0 and 8", n, vectors)
	}
}
