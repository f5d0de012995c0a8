package cpu

import (
	"math"
	"math/rand/v2"
	"sort"
	"testing"
)

// half is a 16-bit format.
type half struct {
	name   string
	wide   func(uint16) float32
	narrow func(float32) uint16
	value  func(uint16) float64 // by the definition of the format
}

// ieee returns the value of a finite binary number with the given field widths.
func ieee(h uint16, expBits, fracBits uint) float64 {
	bias := 1<<(expBits-1) - 1
	exp, frac := int(h>>fracBits)&(1<<expBits-1), float64(h&(1<<fracBits-1))/float64(int(1)<<fracBits)
	v := math.Ldexp(1+frac, exp-bias)
	if exp == 0 {
		v = math.Ldexp(frac, 1-bias)
	} else if exp == 1<<expBits-1 {
		v = math.Inf(1)
		if frac != 0 {
			v = math.NaN()
		}
	}
	if h>>15 == 1 {
		v = -v
	}
	return v
}

var halves = []half{
	{"bf16", BF16ToF32, F32ToBF16, func(h uint16) float64 { return ieee(h, 8, 7) }},
	{"f16", F16ToF32, F32ToF16, func(h uint16) float64 { return ieee(h, 5, 10) }},
}

func TestHalfWidensExactlyAndRoundTrips(t *testing.T) {
	for _, f := range halves {
		for i := range 1 << 16 {
			h := uint16(i)
			got, want := f.wide(h), f.value(h)
			if math.IsNaN(want) {
				if !math.IsNaN(float64(got)) || !math.IsNaN(float64(f.wide(f.narrow(got)))) {
					t.Fatalf("%s %#04x: got %g, want NaN both ways", f.name, h, got)
				}
				continue
			}
			if float64(got) != want || math.Signbit(float64(got)) != math.Signbit(want) {
				t.Fatalf("%s %#04x: got %g, want %g", f.name, h, got, want)
			}
			if back := f.narrow(got); back != h {
				t.Fatalf("%s %#04x: %g narrows to %#04x", f.name, h, got, back)
			}
		}
	}
}

// TestHalfRoundsToNearestEven checks, at every boundary between neighbours, the midpoint and the float32 values beside it.
func TestHalfRoundsToNearestEven(t *testing.T) {
	for _, f := range halves {
		infinity := f.narrow(float32(math.Inf(1)))
		for h := range infinity {
			lo, hi := f.value(h), f.value(h+1)
			if h+1 == infinity { // where the next finite number would be
				hi = 2*lo - f.value(h-1)
			}
			even := h + h&1
			mid := float32(lo/2 + hi/2)
			for _, c := range []struct {
				x    float32
				want uint16
			}{{math.Nextafter32(mid, 0), h}, {mid, even}, {math.Nextafter32(mid, float32(math.Inf(1))), h + 1}} {
				if got := f.narrow(c.x); got != c.want {
					t.Fatalf("%s: %g (between %g and %g): got %#04x, want %#04x", f.name, c.x, lo, hi, got, c.want)
				}
				if got := f.narrow(-c.x); got != c.want|0x8000 {
					t.Fatalf("%s: %g: got %#04x, want %#04x", f.name, -c.x, got, c.want|0x8000)
				}
			}
		}
	}
}

func TestHalfNarrowsMonotonically(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	xs := make([]float64, 1<<16)
	for i := range xs {
		xs[i] = float64(math.Float32frombits(r.Uint32() & 0x7f7fffff))
	}
	sort.Float64s(xs)
	for _, f := range halves {
		last := uint16(0)
		for _, x := range xs {
			h := f.narrow(float32(x))
			if h < last {
				t.Fatalf("%s: %g narrows to %#04x, a smaller number to %#04x", f.name, x, h, last)
			}
			last = h
		}
	}
}
