package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// activationCases are the activations with q = f(-a)/-a, f'(-a) and f”(-a) for a >= 0.
var activationCases = []struct {
	name string
	f    Activation
	tail func(a float64) (q, slope, curvature float64)
}{
	{"SiLU", SiLU, func(a float64) (float64, float64, float64) {
		q := 1 / (1 + math.Exp(a))
		return q, q * (1 - a*(1-q)), q * (1 - q) * (2 - a*(1-2*q))
	}},
	{"GELU", GELU, func(a float64) (float64, float64, float64) {
		q, density := math.Erfc(a/math.Sqrt2)/2, math.Exp(-a*a/2)/math.Sqrt(2*math.Pi)
		return q, q - a*density, density * (2 - a*a)
	}},
	{"GELUTanh", GELUTanh, func(a float64) (float64, float64, float64) {
		c := 2 * math.Sqrt(2/math.Pi)
		v, dv, ddv := -c*(a+0.044715*a*a*a), c*(1+3*0.044715*a*a), -c*6*0.044715*a
		q := 1 / (1 + math.Exp(-v))
		s := q * (1 - q)
		return q, q - a*s*dv, s*(2*dv-a*ddv) - a*s*(1-2*q)*dv*dv
	}},
}

// activationAt returns f(x) and f'(x), and the sizes that their errors have to be small against: those of the terms that f(-a) and f'(-a)
// are made of, and by how much a small relative change of x changes them.
func activationAt(tail func(a float64) (q, slope, curvature float64), x float64) (value, slope, ofValue, ofSlope float64) {
	a := math.Abs(x)
	if a > 1000 {
		if x < 0 {
			return 0, 0, 0, 0
		}
		return x, 1, x, 1
	}
	q, slope, curvature := tail(a)
	value = -a * q
	if x > 0 {
		value, slope = x+value, 1-slope
	}
	return value, slope, math.Abs(value) + a*math.Abs(slope), math.Abs(slope) + 2*q + a*math.Abs(curvature)
}

// activationArguments covers what training meets closely and all of float32 loosely.
func activationArguments() []float32 {
	xs := arguments(-100, 100)
	for e := -149; e < 128; e++ {
		for i := range 8 {
			x := float32(math.Ldexp(1+float64(i)/8, e))
			xs = append(xs, x, -x)
		}
	}
	inf := float32(math.Inf(1))
	return append(xs, 0, float32(math.Copysign(0, -1)), math.MaxFloat32, -math.MaxFloat32, inf, -inf)
}

func TestActivationsAreAccurate(t *testing.T) { eachLevel(t, activationsAreAccurate) }

func activationsAreAccurate(t *testing.T) {
	const tol, tiny = 2e-7, 2e-35
	xs := activationArguments()
	for _, c := range activationCases {
		ys, ds, ones := make([]float32, len(xs)), make([]float32, len(xs)), make([]float32, len(xs))
		for i := range ones {
			ones[i] = 1
		}
		c.f.Apply(ys, xs)
		c.f.Gradient(ds, ones, xs)
		var worst [2]float64
		for i, x := range xs {
			value, slope, ofValue, ofSlope := activationAt(c.tail, float64(x))
			if float64(ys[i]) != value { // also for infinite ones
				e := max(0, math.Abs(float64(ys[i])-value)-tiny) / ofValue
				if !(e <= tol) {
					t.Fatalf("%s(%g) = %g, want %g", c.name, x, ys[i], value)
				}
				worst[0] = max(worst[0], e)
			}
			if float64(ds[i]) != slope {
				e := max(0, math.Abs(float64(ds[i])-slope)-tiny) / ofSlope
				if !(e <= tol) {
					t.Fatalf("%s'(%g) = %g, want %g", c.name, x, ds[i], slope)
				}
				worst[1] = max(worst[1], e)
			}
		}
		t.Logf("%s: largest error of the value %.2g, of the derivative %.2g", c.name, worst[0], worst[1])
	}
}

// activationResults are those of all methods.
type activationResults struct{ apply, gradient, gate, dgate, dup []float32 }

// apart runs all methods with results in memory of their own.
func (f Activation) apart(x, dy, up []float32) activationResults {
	n := len(x)
	v := activationResults{make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n)}
	f.Apply(v.apply, x)
	f.Gradient(v.gradient, dy, x)
	f.Gate(v.gate, x, up)
	f.GateGradient(v.dgate, v.dup, dy, x, up)
	return v
}

func TestGatedActivationsAreProducts(t *testing.T) { eachLevel(t, gatedActivationsAreProducts) }

func gatedActivationsAreProducts(t *testing.T) {
	v := vectors(rand.New(rand.NewPCG(15, 16)), 4, 2*asmMost+100) // more than two calls of the assembly
	x, dy, up, ones := v[0], v[1], v[2], v[3]
	for i := range x {
		x[i], ones[i] = 4*x[i], 1
	}
	for _, c := range activationCases {
		got, slope := c.f.apart(x, dy, up), make([]float32, len(x))
		c.f.Gradient(slope, ones, x)
		for i := range x {
			if got.gradient[i] != slope[i]*dy[i] || got.gate[i] != got.apply[i]*up[i] || got.dgate[i] != slope[i]*dy[i]*up[i] || got.dup[i] != got.apply[i]*dy[i] {
				t.Fatalf("%s: element %d: %v %v %v %v, of the value %v and the slope %v with dy %v, up %v", c.name, i, got.gradient[i], got.gate[i],
					got.dgate[i], got.dup[i], got.apply[i], slope[i], dy[i], up[i])
			}
		}
	}
}

func TestActivationsDoNotDependOnPosition(t *testing.T) {
	eachLevel(t, activationsDoNotDependOnPosition)
}

func activationsDoNotDependOnPosition(t *testing.T) {
	v := vectors(rand.New(rand.NewPCG(17, 18)), 3, 200)
	x, dy, up := v[0], v[1], v[2]
	for i := range x {
		x[i] *= 6
	}
	for _, c := range activationCases {
		all := c.f.apart(x, dy, up)
		same := func(what string, part activationResults, from int) {
			t.Helper()
			for k, pair := range [][2][]float32{{part.apply, all.apply}, {part.gradient, all.gradient}, {part.gate, all.gate}, {part.dgate, all.dgate}, {part.dup, all.dup}} {
				for i, y := range pair[0] {
					if y != pair[1][from+i] {
						t.Fatalf("%s, %s: element %d of result %d is %g, among all of them %g", c.name, what, i, k, y, pair[1][from+i])
					}
				}
			}
		}
		for n := range x {
			same(fmt.Sprintf("first %d", n), c.f.apart(x[:n], dy[:n], up[:n]), 0)
			same(fmt.Sprintf("from %d", n), c.f.apart(x[n:], dy[n:], up[n:]), n)
		}
	}
}

func TestActivationsMayTakeThePlaceOfOperands(t *testing.T) {
	eachLevel(t, activationsMayTakeThePlaceOfOperands)
}

func activationsMayTakeThePlaceOfOperands(t *testing.T) {
	for _, n := range []int{1, 15, 16, 64, 150} {
		v := vectors(rand.New(rand.NewPCG(19, uint64(n))), 3, n)
		for _, c := range activationCases {
			want := c.f.apart(v[0], v[1], v[2])
			check := func(what string, run func(x, dy, up []float32) (got, want [2][]float32)) {
				t.Helper()
				got, expected := run(append([]float32(nil), v[0]...), append([]float32(nil), v[1]...), append([]float32(nil), v[2]...))
				for k := range got {
					for i, y := range got[k] {
						if y != expected[k][i] {
							t.Fatalf("%s %s of %d: element %d of result %d is %g, want %g", c.name, what, n, i, k, y, expected[k][i])
						}
					}
				}
			}
			check("Apply over x", func(x, _, _ []float32) (got, _ [2][]float32) {
				c.f.Apply(x, x)
				return [2][]float32{x}, [2][]float32{want.apply}
			})
			for place := range 2 {
				check(fmt.Sprintf("Gradient over %d", place), func(x, dy, _ []float32) (got, _ [2][]float32) {
					dx := [][]float32{x, dy}[place]
					c.f.Gradient(dx, dy, x)
					return [2][]float32{dx}, [2][]float32{want.gradient}
				})
				check(fmt.Sprintf("Gate over %d", place), func(x, _, up []float32) (got, _ [2][]float32) {
					y := [][]float32{x, up}[place]
					c.f.Gate(y, x, up)
					return [2][]float32{y}, [2][]float32{want.gate}
				})
			}
			for places := range 16 { // of dgate and dup: x, dy, up, nowhere
				check(fmt.Sprintf("GateGradient over %d and %d", places/4, places%4), func(x, dy, up []float32) (got, _ [2][]float32) {
					over := [][]float32{x, dy, up, nil}
					dgate, dup := over[places/4], over[places%4]
					if places/4 == places%4 {
						dup = make([]float32, n)
					}
					c.f.GateGradient(dgate, dup, dy, x, up)
					return [2][]float32{dgate, dup}, [2][]float32{want.dgate, want.dup}
				})
			}
		}
	}
}

func TestActivationsKeepNaN(t *testing.T) { eachLevel(t, activationsKeepNaN) }

func activationsKeepNaN(t *testing.T) {
	for _, bits := range []uint32{0x7fc00000, 0xffc00000, 0x7fffffff, 0x7fd55555, 0xffeaaaaa} {
		for _, c := range activationCases {
			x := []float32{1, math.Float32frombits(bits), -1}
			v := c.f.apart(x, []float32{1, 1, 1}, []float32{1, 1, 1})
			for k, y := range [][]float32{v.apply, v.gradient, v.gate, v.dgate, v.dup} {
				if y[1] == y[1] || y[0] != y[0] || y[2] != y[2] {
					t.Errorf("%s: result %d of 1, NaN %#x, -1 is %v", c.name, k, bits, y)
				}
			}
		}
	}
}
