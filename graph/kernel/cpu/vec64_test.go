package cpu

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// vectors64 returns n-element vectors with NaN before and behind, so that a read or write outside shows.
func vectors64(r *rand.Rand, count, n int) [][]float64 {
	vs := make([][]float64, count)
	for i := range vs {
		v := slices.Repeat([]float64{math.NaN()}, n+32)
		vs[i] = v[16 : 16+n : 16+n]
		for j := range vs[i] {
			vs[i][j] = r.NormFloat64()
		}
	}
	return vs
}

var lengths64 = []int{0, 1, 3, 4, 5, 8, 15, 16, 17, 31, 32, 40, 63, 64, 100, 257, asmMost, asmMost + 21}

func TestFloat64VectorsEqualTheirDefinition(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(71, 72))
		for _, n := range lengths64 {
			v := vectors64(r, 4, n)
			x, y, a, b := v[0], v[1], v[2], v[3]
			wantY, wantA, wantB := slices.Clone(y), slices.Clone(a), slices.Clone(b)
			c, s := math.Cos(1), math.Sin(1)
			for i := range n {
				wantY[i] += float64(s * x[i])
				wantA[i], wantB[i] = float64(c*a[i])-float64(s*b[i]), float64(s*a[i])+float64(c*b[i])
			}
			Axpy64(s, x, y)
			Rotate64(c, s, a, b)
			if !slices.Equal(y, wantY) || !slices.Equal(a, wantA) || !slices.Equal(b, wantB) {
				t.Errorf("%d elements differ from their definition", n)
			}
		}
	})
}

// Sums have small errors, and the same bits at every level.
func TestFloat64SumsAreTheSameAtEveryLevel(t *testing.T) {
	first := map[int][]float64{}
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(73, 74))
		for _, n := range lengths64 {
			v := vectors64(r, 4, n)
			narrow := make([]float32, n)
			for i, x := range v[0] {
				narrow[i] = float32(x)
			}
			got := []float64{Dot64(v[0], v[1]), SumSquares(narrow)}
			if n%8 == 0 && n < 1000 {
				p := Dots64(v[0], v[1], v[2], v[3])
				got = append(got, p[:]...)
			}
			want, size := make([]float64, len(got)), make([]float64, len(got))
			add := func(k int, x, y float64) {
				want[k] += x * y
				size[k] += math.Abs(x * y)
			}
			for i := range n {
				add(0, v[0][i], v[1][i])
				add(1, float64(narrow[i]), float64(narrow[i]))
				for k := 2; k < len(got); k++ {
					add(k, v[(k-2)/2][i], v[2+(k-2)%2][i])
				}
			}
			for k := range got {
				if math.Abs(got[k]-want[k]) > 1e-13*size[k] {
					t.Errorf("sum %d of %d elements is %v, want %v", k, n, got[k], want[k])
				}
			}
			if first[n] == nil {
				first[n] = got
			}
			if !slices.Equal(got, first[n]) {
				t.Errorf("sums of %d elements are %v, at the generic level %v", n, got, first[n])
			}
		}
	})
}

func BenchmarkFloat64(b *testing.B) {
	r := rand.New(rand.NewPCG(75, 76))
	v := vectors64(r, 4, 64)
	narrow := make([]float32, 1<<14)
	for name, f := range map[string]func(){
		"dot/64":        func() { Dot64(v[0], v[1]) },
		"rotate/64":     func() { Rotate64(0.6, 0.8, v[0], v[1]) },
		"axpy/64":       func() { Axpy64(0.1, v[0], v[1]) },
		"dots/64":       func() { Dots64(v[0], v[1], v[2], v[3]) },
		"squares/16384": func() { SumSquares(narrow) },
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				f()
			}
		})
	}
}
