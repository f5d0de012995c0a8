package dense_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	. "github.com/geotune/geotune/graph/kernel/dense"
)

// normalStack returns n matrices of normal values with the given standard deviation.
func normalStack[T Float](rng *rand.Rand, std float64, n, rows, cols int) Stack[T] {
	s := StackOf(make([]T, n*rows*cols), n, rows, cols)
	for i := range s.Data {
		s.Data[i] = T(std * rng.NormFloat64())
	}
	return s
}

func emptyLike[T Float](s Stack[T]) Stack[T] {
	e := StackOf(make([]T, len(s.Data)), s.N, s.Rows, s.Cols)
	for i := range e.Data {
		e.Data[i] = T(math.NaN())
	}
	return e
}

// gonumMat returns matrix i in gonum's form.
func gonumMat[T Float](s Stack[T], i int) *mat.Dense {
	m := mat.NewDense(s.Rows, s.Cols, nil)
	for r := range s.Rows {
		for c := range s.Cols {
			m.Set(r, c, float64(s.At(i).At(r, c)))
		}
	}
	return m
}

// furthest returns the largest difference of an element of matrix i from its value in want.
func furthest[T Float](s Stack[T], i int, want mat.Matrix) (most float64) {
	for r := range s.Rows {
		for c := range s.Cols {
			most = max(most, math.Abs(float64(s.At(i).At(r, c))-want.At(r, c)))
		}
	}
	return most
}

// stackSizes are sizes of matrices around the edges of the kernels, with how many matrices to try.
var stackSizes = map[int]int{1: 9, 2: 5, 3: 1, 4: 8, 5: 3, 7: 4, 8: 9, 9: 2, 15: 5, 16: 4, 17: 3, 20: 6, 31: 2, 32: 5, 33: 1, 40: 4, 63: 1, 64: 5}

func TestSolveAgreesWithGonum(t *testing.T) {
	t.Run("float32", testSolve[float32])
	t.Run("float64", testSolve[float64])
}

func testSolve[T Float](t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 1))
	for n, count := range stackSizes {
		for _, cols := range []int{1, 3, n} {
			a, b := normalStack[T](rng, 1, count, n, n), normalStack[T](rng, 1, count, n, cols)
			x := emptyLike(b)
			if err := Solve(a, b, x); err != nil {
				t.Fatalf("size %d: %v", n, err)
			}
			for i := range count {
				var want mat.Dense
				if err := want.Solve(gonumMat(a, i), gonumMat(b, i)); err != nil && mat.Condition(1e14) < err.(mat.Condition) {
					t.Fatal(err)
				}
				condition := mat.Cond(gonumMat(a, i), 2)
				tol := mat.Norm(&want, math.Inf(1)) * (1e-15*condition*float64(n) + RankTol[T]())
				if e := furthest(x, i, &want); !(e <= tol) {
					t.Errorf("size %d, matrix %d of %d, %d columns: off by %g, condition %g", n, i, count, cols, e, condition)
				}
			}
		}
	}
}

// The pivots decide: without an exchange of rows these lose all digits or divide by 0.
func TestSolvePivots(t *testing.T) {
	a := StackOf([]float64{
		0, 1, 0, 2, 0, 0, 0, 0, 3,
		1e-20, 1, 0, 1, 1, 0, 0, 0, 1,
		1, 2, 3, 1, 2, 4, 0, 1, 0,
		1e-300, 0, 0, 0, 1e300, 0, 0, 0, 1,
		5, 0, 0, 0, 5, 0, 0, 0, 5,
	}, 5, 3, 3)
	want := StackOf(make([]float64, 15), 5, 3, 1)
	b := emptyLike(want)
	for i := range want.N {
		Copy(want.At(i), Of([]float64{1, -2, 3}, 3, 1))
		Mul(1, a.At(i), want.At(i), 0, b.At(i))
	}
	if err := Solve(a, b, b); err != nil {
		t.Fatal(err)
	}
	for i := range b.Data {
		if math.Abs(b.Data[i]-want.Data[i]) > 1e-14 {
			t.Errorf("matrix %d: solution %v, want %v", i/3, b.At(i / 3).Data[:3], want.At(i / 3).Data[:3])
		}
	}
}

func TestSolveReportsSingularMatrices(t *testing.T) {
	for name, bad := range map[string][]float64{
		"zero": {0, 0, 0, 0}, "rank one": {1, 2, 2, 4}, "zero column": {0, 1, 0, 1}, "NaN": {math.NaN(), 0, 0, 1}, "infinite": {math.Inf(1), 0, 0, math.Inf(-1)},
		"inverse overflows": {1, 0, 0, 5e-324},
	} {
		rng := rand.New(rand.NewPCG(12, 1))
		a, b := normalStack[float64](rng, 1, 7, 2, 2), normalStack[float64](rng, 1, 7, 2, 3)
		good := emptyLike(b)
		if err := Solve(a, b, good); err != nil {
			t.Fatal(err)
		}
		copy(a.At(5).Data, bad)
		x := emptyLike(b)
		var singular *SingularError
		if err := Solve(a, b, x); !errors.As(err, &singular) || singular.Matrix != 5 {
			t.Errorf("%s: error %v; want one that names matrix 5", name, err)
		}
		for i := range x.Data {
			if i/6 == 5 && !math.IsNaN(x.Data[i]) || i/6 != 5 && x.Data[i] != good.Data[i] {
				t.Errorf("%s: element %d of matrix %d is %v, without the singular one %v", name, i%6, i/6, x.Data[i], good.Data[i])
			}
		}
	}
}

// skew returns (a-aᵀ)/2 of matrix i.
func skew[T Float](a Stack[T], i int) *mat.Dense {
	k := gonumMat(a, i)
	var t mat.Dense
	t.CloneFrom(k.T())
	k.Sub(k, &t)
	k.Scale(0.5, k)
	return k
}

func identity(n int) *mat.Dense {
	m := mat.NewDense(n, n, nil)
	for i := range n {
		m.Set(i, i, 1)
	}
	return m
}

// cayleyOf returns (I-k)⁻¹·(I+k) and (I+k)⁻¹ from gonum.
func cayleyOf(k *mat.Dense) (q, inverse *mat.Dense) {
	n, _ := k.Dims()
	var minus, plus mat.Dense
	minus.Sub(identity(n), k)
	plus.Add(identity(n), k)
	q, inverse = new(mat.Dense), new(mat.Dense)
	q.Solve(&minus, &plus)
	inverse.Inverse(&plus)
	return q, inverse
}

func TestCayleyIsOrthogonalAndAgreesWithGonum(t *testing.T) {
	t.Run("float32", testCayley[float32])
	t.Run("float64", testCayley[float64])
}

func testCayley[T Float](t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 1))
	for n, count := range stackSizes {
		for _, std := range []float64{0, 1e-3, 0.3, 10, 1e4} { // from no rotation to nearly π in all planes
			a := normalStack[T](rng, std, count, n, n)
			q := emptyLike(a)
			Cayley(a, q)
			var w Workspace[T]
			for i := range count {
				name := fmt.Sprintf("size %d, matrix %d of %d, deviation %g", n, i, count, std)
				k := skew(a, i)
				condition := 1 + mat.Norm(k, 2) // of I-K, whose singular values are at least 1
				tol := 1e-7*math.Sqrt(float64(n)) + 1e-16*condition*float64(n)
				if _, single := any(T(0)).(float32); !single {
					tol = 1e-15 * condition * float64(n)
				}
				if e := Orthonormality(&w, q.At(i)); !(e <= 2*tol) {
					t.Errorf("%s: ‖QᵀQ - I‖ = %g", name, e)
				}
				want, _ := cayleyOf(k)
				if e := furthest(q, i, want); !(e <= tol) {
					t.Errorf("%s: off by %g, condition %g", name, e, condition)
				}
				if std == 0 && furthest(q, i, identity(n)) != 0 {
					t.Errorf("%s: not the identity", name)
				}
			}
		}
	}
}

func TestInverseCayleyUndoesCayley(t *testing.T) {
	t.Run("float32", testInverseCayley[float32])
	t.Run("float64", testInverseCayley[float64])
}

func testInverseCayley[T Float](t *testing.T) {
	rng := rand.New(rand.NewPCG(14, 1))
	for n, count := range stackSizes {
		for _, std := range []float64{0, 1e-3, 0.3} {
			a := normalStack[T](rng, std, count, n, n)
			q := emptyLike(a)
			Cayley(a, q)
			if err := InverseCayley(q, q); err != nil { // in place
				t.Fatal(err)
			}
			for i := range count {
				k := skew(a, i)
				grows := 1 + mat.Norm(k, 2)*mat.Norm(k, 2) // of rounding of q, in its inverse
				if e := furthest(q, i, k); !(e <= RankTol[T]()*grows) {
					t.Errorf("size %d, matrix %d of %d, deviation %g: off by %g", n, i, count, std, e)
				}
				if k := q.At(i); distance(k, k.T()) != 2*Norm(k) {
					t.Errorf("size %d, matrix %d of %d: not skew", n, i, count)
				}
			}
		}
	}
}

func TestInverseCayleyReportsHalfTurns(t *testing.T) {
	q := StackOf(make([]float32, 5*9), 5, 3, 3)
	for i := range q.N {
		for j := range 3 {
			q.At(i).Set(j, j, 1)
		}
	}
	s, c := math.Sincos(1)
	turn := Of([]float32{float32(c), float32(-s), 0, float32(s), float32(c), 0, 0, 0, 1}, 3, 3)
	half, y := Of([]float32{-1, 0, 0, 0, 1, 0, 0, 0, -1}, 3, 3), New[float32](3, 3)
	Mul(1, turn, half, 0, y)
	Mul(1, y, turn.T(), 0, q.At(3)) // by π around a tilted axis
	k := emptyLike(q)
	var singular *SingularError
	if err := InverseCayley(q, k); !errors.As(err, &singular) || singular.Matrix != 3 {
		t.Errorf("error %v; want one that names matrix 3", err)
	}
	for i, v := range k.Data {
		if i/9 != 3 && v != 0 {
			t.Errorf("element %d of matrix %d is %v", i%9, i/9, v)
		}
	}
}

func TestCayleyGradAgreesWithItsFormula(t *testing.T) {
	t.Run("float32", testCayleyGrad[float32])
	t.Run("float64", testCayleyGrad[float64])
}

func testCayleyGrad[T Float](t *testing.T) {
	rng := rand.New(rand.NewPCG(15, 1))
	for n, count := range stackSizes {
		for _, std := range []float64{0, 1e-3, 0.3, 10, 1e4} {
			a, dq := normalStack[T](rng, std, count, n, n), normalStack[T](rng, 1, count, n, n)
			q, da := emptyLike(a), emptyLike(a)
			Cayley(a, q)
			CayleyGrad(q, dq, da)
			for i := range count {
				k := skew(a, i)
				_, f := cayleyOf(k)
				var half, want, transposed mat.Dense
				half.Mul(f, gonumMat(dq, i))
				want.Mul(&half, f)
				transposed.CloneFrom(want.T())
				want.Sub(&want, &transposed)
				if e := furthest(da, i, &want); !(e <= 2*RankTol[T]()*math.Sqrt(float64(n))+1e-16*mat.Norm(k, 2)*float64(n)) {
					t.Errorf("size %d, matrix %d of %d, deviation %g: off by %g", n, i, count, std, e)
				}
			}
		}
	}
}

func TestCayleyGradEqualsFiniteDifferences(t *testing.T) {
	rng := rand.New(rand.NewPCG(16, 1))
	for _, n := range []int{1, 2, 3, 8, 13} {
		for _, std := range []float64{0, 0.3, 3} {
			a, dq, dir := normalStack[float64](rng, std, 2, n, n), normalStack[float64](rng, 1, 2, n, n), normalStack[float64](rng, 1, 2, n, n)
			q, da := emptyLike(a), emptyLike(a)
			Cayley(a, q)
			CayleyGrad(q, dq, da)
			for i := range a.N {
				loss := func(step float64) float64 {
					moved, q := emptyLike(a), emptyLike(a)
					for j := range moved.Data {
						moved.Data[j] = a.Data[j] + step*dir.Data[j]
					}
					Cayley(moved, q)
					return Inner(q.At(i), dq.At(i))
				}
				const eps = 1e-4
				want := (8*(loss(eps)-loss(-eps)) - (loss(2*eps) - loss(-2*eps))) / (12 * eps)
				if got := Inner(da.At(i), dir.At(i)); math.Abs(got-want) > 1e-9*float64(n) {
					t.Errorf("size %d, deviation %g: slope %v, finite difference %v", n, std, got, want)
				}
			}
		}
	}
}

// A matrix's result depends neither on its neighbours nor on the number of threads.
func TestStacksEqualTheirMatrices(t *testing.T) {
	rng := rand.New(rand.NewPCG(17, 1))
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, n := range []int{3, 20, 40} {
		a, b := normalStack[float32](rng, 0.5, 150, n, n), normalStack[float32](rng, 1, 150, n, n)
		results := func(a, b Stack[float32]) (all []float32) {
			q, da, k, x := emptyLike(a), emptyLike(a), emptyLike(a), emptyLike(a)
			Cayley(a, q)
			CayleyGrad(q, b, da)
			if err := errors.Join(InverseCayley(q, k), Solve(a, b, x)); err != nil {
				t.Fatal(err)
			}
			return slices.Concat(q.Data, da.Data, k.Data, x.Data)
		}
		runtime.GOMAXPROCS(1)
		want := results(a, b)
		for _, procs := range []int{2, 3} {
			runtime.GOMAXPROCS(procs)
			if !slices.Equal(results(a, b), want) {
				t.Errorf("size %d: other bits with %d threads", n, procs)
			}
		}
		for _, i := range []int{0, 77, 149} {
			one := results(StackOf(a.At(i).Data, 1, n, n), StackOf(b.At(i).Data, 1, n, n))
			for j, v := range one {
				if at := j/(n*n)*len(a.Data) + i*n*n + j%(n*n); v != want[at] {
					t.Fatalf("size %d: alone, matrix %d gives %v, in the stack %v", n, i, v, want[at])
				}
			}
		}
	}
}

func TestStacksAllocateNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(18, 1))
	a := normalStack[float32](rng, 0.5, 9, 20, 20)
	q, da, k := emptyLike(a), emptyLike(a), emptyLike(a)
	work := func() {
		Cayley(a, q)
		CayleyGrad(q, a, da)
		if err := errors.Join(InverseCayley(q, k), Solve(a, q, k)); err != nil {
			t.Fatal(err)
		}
	}
	work()
	if n := testing.AllocsPerRun(20, work); n >= 1 { // less than one: another thread's first scratch memory
		t.Errorf("%v allocations", n)
	}
}

func TestEmptyStacks(t *testing.T) {
	for _, s := range []Stack[float32]{StackOf[float32](nil, 0, 4, 4), StackOf[float32](nil, 3, 0, 0)} {
		Cayley(s, s)
		CayleyGrad(s, s, s)
		if err := errors.Join(InverseCayley(s, s), Solve(s, s, s)); err != nil {
			t.Error(err)
		}
	}
}

func BenchmarkCayley(b *testing.B) {
	for _, n := range []int{4, 8, 16, 20, 32, 40, 64} {
		rng := rand.New(rand.NewPCG(19, 1))
		a := normalStack[float32](rng, 0.1, 512, n, n)
		q, k := emptyLike(a), emptyLike(a)
		for name, f := range map[string]func(){
			"forward":  func() { Cayley(a, q) },
			"gradient": func() { CayleyGrad(q, a, k) },
			"inverse":  func() { InverseCayley(q, k) },
			"solve":    func() { Solve(a, q, k) },
		} {
			b.Run(fmt.Sprintf("512x%dx%d/%s", n, n, name), func(b *testing.B) {
				Cayley(a, q)
				for b.Loop() {
					f()
				}
			})
		}
	}
}
