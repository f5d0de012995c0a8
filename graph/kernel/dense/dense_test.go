package dense_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"

	. "github.com/geotune/geotune/graph/kernel/dense"
)

// digits is the tolerance of laws that hold to rounding error, for values around 1.
func digits[T Float]() float64 {
	if _, single := any(T(0)).(float32); single {
		return 3e-6
	}
	return 1e-13
}

func normal[T Float](rng *rand.Rand, rows, cols int) Mat[T] {
	m := New[T](rows, cols)
	for i := range m.Data {
		m.Data[i] = T(rng.NormFloat64())
	}
	return m
}

// scaleColumns multiplies column j of m by c[j].
func scaleColumns[T Float](m Mat[T], c ...float64) {
	for i := range m.Rows {
		for j, s := range c {
			m.Set(i, j, T(float64(m.At(i, j))*s))
		}
	}
}

func product[T Float](a, b Mat[T]) Mat[T] {
	c := New[T](a.Rows, b.Cols)
	Mul(1, a, b, 0, c)
	return c
}

func narrow[T Float](c Core) Mat[T] {
	m := New[T](c.Rows, c.Cols)
	Copy(m, c)
	return m
}

func clone[T Float](a Mat[T]) Mat[T] {
	c := New[T](a.Rows, a.Cols)
	Copy(c, a)
	return c
}

// distance returns ‖a - b‖.
func distance[T Float](a, b Mat[T]) float64 {
	d := New[float64](a.Rows, a.Cols)
	for i := range a.Rows {
		for j := range a.Cols {
			d.Set(i, j, float64(a.At(i, j))-float64(b.At(i, j)))
		}
	}
	return Norm(d)
}

// tall are matrices to factor, with their numerical rank.
func tall[T Float](rng *rand.Rand) map[string]struct {
	y    Mat[T]
	rank int
} {
	type c = struct {
		y    Mat[T]
		rank int
	}
	graded := normal[T](rng, 200, 4)
	scaleColumns(graded, 1, 1e-4, 1e-8, 1e-12)
	repeated := normal[T](rng, 50, 6)
	for i := range 50 {
		repeated.Set(i, 3, repeated.At(i, 0))
		repeated.Set(i, 5, 2*repeated.At(i, 1))
	}
	close := normal[T](rng, 64, 3)
	for i := range 64 {
		close.Set(i, 2, close.At(i, 0)+T(1e-4*rng.NormFloat64()))
	}
	one := New[T](30, 3)
	for i := range 30 {
		one.Set(i, 1, T(rng.NormFloat64()))
	}
	return map[string]c{
		"generic": {normal[T](rng, 300, 16), 16}, "square": {normal[T](rng, 12, 12), 12}, "one column": {normal[T](rng, 9, 1), 1},
		"one element": {normal[T](rng, 1, 1), 1}, "wide": {normal[T](rng, 257, 128), 128}, "graded columns": {graded, -1},
		"repeated columns": {repeated, 4}, "nearly repeated column": {close, 3}, "zero": {New[T](20, 5), 0}, "one column of three": {one, 1},
	}
}

func TestQRIsOrthonormalAndReconstructs(t *testing.T) {
	t.Run("float32", testQR[float32])
	t.Run("float64", testQR[float64])
}

func testQR[T Float](t *testing.T) {
	var w Workspace[T]
	for name, c := range tall[T](rand.New(rand.NewPCG(1, 1))) {
		q, r := clone(c.y), New[float64](c.y.Cols, c.y.Cols)
		rank := QR(&w, q, r, RankTol[T]()*Norm(c.y))
		if c.rank >= 0 && rank != c.rank {
			t.Errorf("%s: rank %d, want %d", name, rank, c.rank)
		}
		if e := Orthonormality(&w, q); e > digits[T]() {
			t.Errorf("%s: ‖QᵀQ - I‖ = %g", name, e)
		}
		if e := distance(product(q, narrow[T](r)), c.y); e > digits[T]()*max(1, Norm(c.y)) {
			t.Errorf("%s: ‖QR - Y‖ = %g of %g", name, e, Norm(c.y))
		}
		for i := rank; i < r.Rows; i++ {
			if n := Norm(r.Block(i, 0, 1, r.Cols)); n > 4*RankTol[T]()*Norm(c.y) {
				t.Errorf("%s: row %d of R, past the rank, has length %g", name, i, n)
			}
		}
	}
}

func TestComplementIsOrthogonalToTheSpan(t *testing.T) {
	t.Run("float32", testComplement[float32])
	t.Run("float64", testComplement[float64])
}

func testComplement[T Float](t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	var w Workspace[T]
	for name, c := range tall[T](rng) {
		u := normal[T](rng, c.y.Rows, min(3, c.y.Rows))
		QR(&w, u, New[float64](u.Cols, u.Cols), 0)
		checkComplement(t, name, u, c.y)
		inside := product(u, normal[T](rng, u.Cols, 4))
		checkComplement(t, name+" inside", u, inside)
		if k := Complement(&w, u, clone(inside), New[float64](4, 4)); k != 0 {
			t.Errorf("%s: a matrix inside the span has %d directions outside", name, k)
		}
		for i := range inside.Rows { // almost inside
			inside.Set(i, 1, inside.At(i, 1)+T(1e-3*rng.NormFloat64()))
		}
		checkComplement(t, name+" almost inside", u, inside)
	}
}

func checkComplement[T Float](t *testing.T, name string, u, y Mat[T]) {
	t.Helper()
	var w Workspace[T]
	q, r := clone(y), New[float64](y.Cols, y.Cols)
	k := Complement(&w, u, q, r)
	if k > y.Rows-u.Cols {
		t.Errorf("%s: %d directions outside %d of %d", name, k, u.Cols, y.Rows)
		return
	}
	e := New[T](y.Rows, u.Cols+k)
	Copy(e.Columns(0, u.Cols), u)
	Copy(e.Columns(u.Cols, u.Cols+k), q.Columns(0, k))
	if gap := Orthonormality(&w, e); gap > 2*digits[T]() {
		t.Errorf("%s: [U Q] is off orthonormality by %g", name, gap)
	}
	back := product(u, product(u.T(), y))
	Mul(1, q.Columns(0, k), narrow[T](r).Block(0, 0, k, y.Cols), 1, back)
	if gap := distance(back, y); gap > 2*digits[T]()*max(1, Norm(y)) {
		t.Errorf("%s: U·Uᵀ·Y + Q·R is off Y by %g of %g", name, gap, Norm(y))
	}
}

func TestCompleteFindsOrthonormalColumns(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	var w Workspace[float32]
	for _, c := range []struct{ rows, cols, rank int }{{20, 5, 0}, {20, 5, 3}, {6, 6, 1}, {1, 1, 0}, {7, 7, 7}} {
		q := normal[float32](rng, c.rows, c.cols)
		QR(&w, q, New[float64](c.cols, c.cols), 0)
		kept := clone(q)
		for i := range c.rows {
			for j := c.rank; j < c.cols; j++ {
				q.Set(i, j, 7)
			}
		}
		Complete(&w, q, c.rank, rng.NormFloat64)
		if e := Orthonormality(&w, q); e > 1e-5 {
			t.Errorf("%v: off orthonormality by %g", c, e)
		}
		if distance(q.Columns(0, c.rank), kept.Columns(0, c.rank)) != 0 {
			t.Errorf("%v: a given column changed", c)
		}
	}
}

func TestSVDReconstructsAndAgreesWithGonum(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	diagonal := New[float64](6, 6)
	for i, s := range []float64{1, 1e-12, 3, 1e-12, 1, 0} {
		diagonal.Set(i, i, s)
	}
	deficient := product(normal[float64](rng, 12, 3), normal[float64](rng, 3, 12))
	graded := normal[float64](rng, 10, 10)
	scaleColumns(graded, 1, 1e-2, 1e-4, 1e-6, 1e-8, 1e-10, 1e-12, 1, 1, 1)
	for name, a := range map[string]Core{
		"generic": normal[float64](rng, 32, 32), "tall": normal[float64](rng, 20, 7), "wide": normal[float64](rng, 7, 20),
		"one": normal[float64](rng, 1, 1), "row": normal[float64](rng, 1, 5), "zero": New[float64](8, 5), "diagonal": diagonal,
		"rank deficient": deficient, "graded": graded, "large": normal[float64](rng, 96, 96),
	} {
		checkSVD(t, name, a)
	}
}

func checkSVD(t *testing.T, name string, a Core) {
	t.Helper()
	var w Workspace[float64]
	q := min(a.Rows, a.Cols)
	u, s, v := New[float64](a.Rows, q), make([]float64, q), New[float64](a.Cols, q)
	SVD(&w, a, u, s, v)
	if e := Orthonormality(&w, u) + Orthonormality(&w, v); e > 1e-12 {
		t.Errorf("%s: off orthonormality by %g", name, e)
	}
	us := clone(u)
	scaleColumns(us, s...)
	if e := distance(product(us, v.T()), a); e > 1e-13*max(1, Norm(a)) {
		t.Errorf("%s: ‖U·S·Vᵀ - A‖ = %g", name, e)
	}
	var reference mat.SVD
	reference.Factorize(mat.NewDense(a.Rows, a.Cols, a.Data), mat.SVDNone)
	for i, want := range reference.Values(nil) {
		if math.Abs(s[i]-want) > 1e-13*max(1, Norm(a)) || i > 0 && s[i] > s[i-1] {
			t.Errorf("%s: singular values %v, gonum has %v", name, s, reference.Values(nil))
			break
		}
	}
}

// Rotations work on columns, so that columns of very different length keep their digits: the singular values of Q·D are those of D.
func TestSVDKeepsSmallValuesOfScaledColumns(t *testing.T) {
	var w Workspace[float64]
	want := []float64{1, 1e-6, 1e-12, 1e-18, 1e-30}
	a := normal[float64](rand.New(rand.NewPCG(5, 5)), 5, 5)
	QR(&w, a, New[float64](5, 5), 0)
	scaleColumns(a, want...)
	s := make([]float64, 5)
	SVD(&w, a, New[float64](5, 5), s, New[float64](5, 5))
	for i := range s {
		if math.Abs(s[i]/want[i]-1) > 1e-13 {
			t.Errorf("value %d is %g, want %g", i, s[i], want[i])
		}
	}
}

// symmetric returns q·diag(values)·qᵀ for a random orthogonal q.
func symmetric(rng *rand.Rand, values ...float64) Core {
	var w Workspace[float64]
	n := len(values)
	q := normal[float64](rng, n, n)
	QR(&w, q, New[float64](n, n), 0)
	scaled := clone(q)
	scaleColumns(scaled, values...)
	a := product(scaled, q.T())
	for i := range n {
		for j := range i {
			a.Set(i, j, a.At(j, i))
		}
	}
	return a
}

func TestEigenSymReconstructsAndAgreesWithGonum(t *testing.T) {
	rng := rand.New(rand.NewPCG(20, 1))
	square := func(n int) Core {
		a := normal[float64](rng, n, n)
		Mul(1, clone(a).T(), New[float64](n, n), 1, a)
		for i := range n {
			for j := range i {
				a.Set(i, j, a.At(j, i))
			}
		}
		return a
	}
	diagonal, split := New[float64](5, 5), New[float64](4, 4)
	for i, v := range []float64{1, -3, 0, 2, 2} {
		diagonal.Set(i, i, v)
	}
	for _, i := range []int{0, 2} { // two rotations of [1 -1] side by side
		split.Set(i, i+1, 1)
		split.Set(i+1, i, 1)
	}
	huge, tiny := square(6), square(6)
	for i := range huge.Data {
		huge.Data[i] *= 1e150
		tiny.Data[i] *= 1e-150
	}
	for name, a := range map[string]Core{
		"one": square(1), "two": square(2), "generic": square(32), "odd": square(17), "large": square(96), "zero": New[float64](7, 7),
		"empty": New[float64](0, 0), "diagonal": diagonal, "split": split, "huge": huge, "tiny": tiny,
		"repeated": symmetric(rng, 1, 1, 1, 5, 5, -2, -2, -2, 0, 0), "graded": symmetric(rng, 1, 1e-4, 1e-8, 1e-12, 1e-16),
		"opposite": symmetric(rng, 3, -3, 3, -3, 3, -3),
	} {
		n := a.Rows
		var w Workspace[float64]
		s, v := make([]float64, n), New[float64](n, n)
		EigenSym(&w, a, s, v)
		if e := Orthonormality(&w, v); e > 1e-13*float64(1+n) {
			t.Errorf("%s: off orthonormality by %g", name, e)
		}
		vs := clone(v)
		scaleColumns(vs, s...)
		tol := 1e-14 * Norm(a)
		if e := distance(product(vs, v.T()), a); !(e <= 2*tol) {
			t.Errorf("%s: ‖V·S·Vᵀ - A‖ = %g of %g", name, e, Norm(a))
		}
		if n == 0 {
			continue
		}
		var reference mat.EigenSym
		reference.Factorize(mat.NewSymDense(n, a.Data), true)
		want := reference.Values(nil) // ascending
		for i := range s {
			if math.Abs(s[i]-want[n-1-i]) > tol || i > 0 && s[i] > s[i-1] {
				t.Errorf("%s: eigenvalues %v, gonum has %v", name, s, want)
				break
			}
		}
	}
}

func TestEigenSymEndsOnNaN(t *testing.T) {
	var w Workspace[float64]
	a := normal[float64](rand.New(rand.NewPCG(21, 1)), 8, 8)
	a.Set(3, 3, math.NaN())
	s := make([]float64, 8)
	EigenSym(&w, a, s, New[float64](8, 8))
	if !math.IsNaN(s[0] + s[7]) {
		t.Errorf("eigenvalues %v", s)
	}
}

func TestPinvSatisfiesPenroseEquations(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 6))
	var w Workspace[float64]
	for name, a := range map[string]Core{
		"square": normal[float64](rng, 5, 5), "tall": normal[float64](rng, 8, 3), "wide": normal[float64](rng, 3, 8), "zero": New[float64](3, 4),
		"rank deficient": product(normal[float64](rng, 7, 2), normal[float64](rng, 2, 6)),
	} {
		p := New[float64](a.Cols, a.Rows)
		Pinv(&w, a, p, 1e-12)
		ap, pa := product(a, p), product(p, a)
		e := distance(product(ap, a), a) + distance(product(pa, p), p) + distance(ap, ap.T()) + distance(pa, pa.T())
		if e > 1e-11 {
			t.Errorf("%s: off by %g", name, e)
		}
	}
}

func TestCholeskyReportsDependentColumns(t *testing.T) {
	g := Of([]float64{4, 2, 2, 1}, 2, 2)
	if Cholesky(g, New[float64](2, 2), 1e-10) {
		t.Error("a singular matrix was factored")
	}
	g.Set(1, 1, 5)
	r, inverse := New[float64](2, 2), New[float64](2, 2)
	if !Cholesky(g, r, 1e-10) || distance(r, Of([]float64{2, 1, 0, 2}, 2, 2)) != 0 {
		t.Errorf("factor %v", r.Data)
	}
	if InvertUpper(r, inverse); distance(product(r, inverse), Of([]float64{1, 0, 0, 1}, 2, 2)) != 0 {
		t.Errorf("inverse %v", inverse.Data)
	}
}

func TestElementwiseFunctionsTakeViewsOfAnyStride(t *testing.T) {
	rng := rand.New(rand.NewPCG(10, 10))
	big := normal[float64](rng, 9, 11)
	for name, m := range map[string]Core{"rows": big.Block(2, 3, 5, 4), "columns": big.T().Block(2, 3, 4, 5), "empty": big.Block(1, 1, 3, 0)} {
		var squares float64
		want := New[float64](m.Rows, m.Cols)
		for i := range m.Rows {
			for j := range m.Cols {
				squares += m.At(i, j) * m.At(i, j)
				want.Set(i, j, m.At(i, j))
			}
		}
		if math.Abs(Norm(m)-math.Sqrt(squares)) > 1e-14*squares || distance(clone(m), want) != 0 || Inner(m, want) != Inner(want, want) {
			t.Errorf("%s: norm %v, want %v", name, Norm(m), math.Sqrt(squares))
		}
	}
	m, norms := clone(big.Block(0, 0, 9, 3)), make([]float64, 3)
	ColumnNorms(m, norms)
	ScaleColumns(m, m, []float64{1 / norms[0], 1 / norms[1], 1 / norms[2]})
	for j := range norms {
		if math.Abs(Norm(m.Columns(j, j+1))-1) > 1e-15 {
			t.Errorf("column %d of length %v was not normalised", j, norms[j])
		}
	}
}

func TestWorkspaceAllocatesOnlyOnce(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	w := new(Workspace[float32])
	u, y, r, a := normal[float32](rng, 200, 8), normal[float32](rng, 200, 8), New[float64](8, 8), normal[float64](rng, 16, 16)
	QR(w, u, r, 0)
	s, p, q := make([]float64, 16), New[float64](16, 16), New[float64](16, 16)
	work := func() {
		Complement(w, u, y, r)
		SVD(w, a, p, s, q)
		w.Release(Mark{})
	}
	work()
	if n := testing.AllocsPerRun(5, work); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkComplement(b *testing.B) {
	for _, rows := range []int{768, 2304} {
		b.Run(fmt.Sprintf("%dx16", rows), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(8, 8))
			w := new(Workspace[float32])
			u, y := normal[float32](rng, rows, 16), normal[float32](rng, rows, 16)
			r, q := New[float64](16, 16), New[float32](rows, 16)
			QR(w, u, r, 0)
			for b.Loop() {
				Copy(q, y)
				Complement(w, u, q, r)
				w.Release(Mark{})
			}
		})
	}
}

func BenchmarkEigenSym(b *testing.B) {
	for _, n := range []int{16, 32, 64, 256} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := new(Workspace[float64])
			a := symmetric(rand.New(rand.NewPCG(22, 1)), normal[float64](rand.New(rand.NewPCG(23, 1)), 1, n).Data...)
			v, s := New[float64](n, n), make([]float64, n)
			for b.Loop() {
				EigenSym(w, a, s, v)
				w.Release(Mark{})
			}
		})
	}
}

func BenchmarkSVD(b *testing.B) {
	for _, n := range []int{16, 32, 64, 256} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			w := new(Workspace[float64])
			a := normal[float64](rand.New(rand.NewPCG(9, 9)), n, n)
			u, s, v := New[float64](n, n), make([]float64, n), New[float64](n, n)
			for b.Loop() {
				SVD(w, a, u, s, v)
				w.Release(Mark{})
			}
		})
	}
}
