package safetensors

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
)

func TestEveryHalfComesBackFromFloat32(t *testing.T) {
	for _, c := range []struct {
		name  string
		widen func(uint16) float32
		round func(float32) uint16
	}{{"F16", Float16, ToFloat16}, {"BF16", BFloat16, ToBFloat16}} {
		for i := range 1 << 16 {
			h := uint16(i)
			v := c.widen(h)
			got := c.round(v)
			if v != v {
				if w := c.widen(got); w == w {
					t.Fatalf("%s %#04x: NaN became %g", c.name, h, w)
				}
				continue
			}
			if got != h {
				t.Fatalf("%s %#04x widens to %g and rounds to %#04x", c.name, h, v, got)
			}
		}
	}
}

// nearest rounds by searching all finite halves, ties to the even bit pattern; limit is the magnitude from which on it is infinite.
func nearest(v float64, halves []float64, limit float64, infinite uint16) uint16 {
	abs := math.Abs(v)
	i, _ := slices.BinarySearch(halves, abs)
	switch {
	case abs >= limit:
		i = int(infinite)
	case i == len(halves):
		i--
	case i > 0:
		down, up := abs-halves[i-1], halves[i]-abs
		if down < up || (down == up && i%2 == 1) {
			i--
		}
	}
	if math.Signbit(v) {
		i |= 0x8000
	}
	return uint16(i)
}

func TestRoundingIsToNearestEven(t *testing.T) {
	for _, c := range []struct {
		name     string
		widen    func(uint16) float32
		round    func(float32) uint16
		infinite uint16
		limit    float64
	}{{"F16", Float16, ToFloat16, 0x7c00, 65520}, {"BF16", BFloat16, ToBFloat16, 0x7f80, 0x1.ffp127}} {
		halves := make([]float64, c.infinite)
		for i := range halves {
			halves[i] = float64(c.widen(uint16(i)))
		}
		check := func(v float32) {
			if got, want := c.round(v), nearest(float64(v), halves, c.limit, c.infinite); got != want {
				t.Fatalf("%s of %g is %#04x, want %#04x", c.name, v, got, want)
			}
		}
		for i := 1; i < len(halves); i++ { // ties and their neighbours
			tie := float32((halves[i-1] + halves[i]) / 2)
			for _, v := range []float32{math.Nextafter32(tie, 0), tie, math.Nextafter32(tie, math.MaxFloat32)} {
				check(v)
				check(-v)
			}
		}
		rng := rand.New(rand.NewPCG(1, 2))
		for range 100000 {
			if v := math.Float32frombits(rng.Uint32()); v == v {
				check(v)
			}
		}
	}
}

func TestViewsShareAlignedMemoryAndCopyTheRest(t *testing.T) {
	back := make([]uint64, 4) // aligned
	b := rawBytes(back)
	for i := range b {
		b[i] = byte(i)
	}
	for off := range 9 {
		v := View[uint32](b[off : off+9])
		if len(v) != 2 {
			t.Fatalf("offset %d: %d numbers, want 2", off, len(v))
		}
		for i, got := range v {
			at := off + 4*i
			if want := uint32(b[at]) | uint32(b[at+1])<<8 | uint32(b[at+2])<<16 | uint32(b[at+3])<<24; got != want {
				t.Errorf("offset %d: number %d is %#x, want %#x", off, i, got, want)
			}
		}
		shared := unsafe.Pointer(&v[0]) == unsafe.Pointer(&b[off])
		if want := littleEndian && off%4 == 0; shared != want {
			t.Errorf("offset %d: shared %v, want %v", off, shared, want)
		}
	}
	if v := View[float64](nil); v == nil || len(v) != 0 {
		t.Errorf("view of nothing: %v", v)
	}
}

func TestByteOrderIsReversedOnBigEndianMachines(t *testing.T) {
	defer func(was bool) { littleEndian = was }(littleEndian)
	littleEndian = !littleEndian
	src := []byte{1, 2, 3, 4, 5, 6, 7, 8}
	dst := make([]byte, 8)
	copyLittleEndian(dst, src, 4)
	if !littleEndian && !bytes.Equal(dst, []byte{4, 3, 2, 1, 8, 7, 6, 5}) {
		t.Errorf("%v", dst)
	}
	if v := View[uint16](src); !littleEndian && !slices.Equal(v, []uint16{0x0102, 0x0304, 0x0506, 0x0708}) {
		t.Errorf("%#x", v)
	}
}

func TestFloatConversionsCheckLengths(t *testing.T) {
	if DecodeFloats(make([]float32, 2), make([]byte, 3), BF16) == nil || DecodeFloats(make([]float32, 1), make([]byte, 4), I32) == nil {
		t.Error("DecodeFloats accepts a wrong length or type")
	}
	if EncodeFloats(make([]byte, 3), make([]float32, 2), F16) == nil || EncodeFloats(make([]byte, 4), make([]float32, 1), U32) == nil {
		t.Error("EncodeFloats accepts a wrong length or type")
	}
}
