package optim

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/mat"

	ref "github.com/geotune/geotune/optim/internal/reference"
)

// Laws 8 and 12: rules against algorithms on whole matrices, which know no factors, and against each other.

// wholeRule is a rule as an algorithm on whole matrices of rank r: it moves x given the gradient g at x, and may remember.
type wholeRule func(x, g *mat.Dense, t int, h Hyper) *mat.Dense

// wholeRiemannion is Algorithm 4 of arXiv 2507.12142 v2 as corrected.
func wholeRiemannion(r *Riemannion, rank int) wholeRule {
	var m *mat.Dense
	return func(x, g *mat.Dense, t int, h Hyper) *mat.Dense {
		xi := ref.Project(x, g, rank)
		if t == 1 {
			m = ref.Combine(0, xi, 0, xi)
		}
		m = ref.Combine(r.Momentum, ref.Project(x, m, rank), 1, xi)
		d := m
		if r.Nesterov {
			d = ref.Combine(r.Momentum, m, 1, xi)
		}
		for range r.Projections {
			d = ref.Project(x, ref.Sign(d), rank)
		}
		rate := h.LR
		if r.LRScaling == LRScalingAdamW {
			out, in := x.Dims()
			rate *= 0.2 * math.Sqrt(float64(out*in)/float64(2*rank))
		}
		return ref.Truncated(ref.Combine(1-h.LR*h.WeightDecay, x, -rate, d), rank)
	}
}

// wholeRiemannSGD is Algorithm 6 with one normaliser for the matrix, and truncates by tolerance if that is positive.
func wholeRiemannSGD(r *RiemannSGD, rank int, tolerance float64) wholeRule {
	var m *mat.Dense
	v, now := 0.0, rank
	return func(x, g *mat.Dense, t int, h Hyper) *mat.Dense {
		xi := ref.Project(x, g, now)
		if t == 1 {
			m = ref.Combine(0, xi, 0, xi)
		}
		m = ref.Combine(r.Momentum, ref.Project(x, m, now), 1-r.Momentum, xi)
		divisor := 1.0
		if r.Normalize == NormalizeAdam {
			v = r.Beta2*v + (1-r.Beta2)*ref.Inner(xi, xi)
			divisor = (math.Sqrt(v/(1-math.Pow(r.Beta2, float64(t)))) + r.Eps) * (1 - math.Pow(r.Momentum, float64(t)))
		}
		moved := ref.Combine(1-h.LR*h.WeightDecay, x, -h.LR/divisor, m)
		if tolerance > 0 {
			_, s, _ := ref.SVD(moved)
			for now = 1; now < rank && s[now] > tolerance*mat.Norm(moved, 2); now++ {
			}
		}
		return ref.Truncated(moved, now)
	}
}

// wholeThinAdam is Adam on the elements of the Riemannian gradient with a second moment of rank one.
func wholeThinAdam(r *LoRAProThinAdam, rank int) wholeRule {
	var m *mat.Dense
	var rows, columns []float64
	return func(x, g *mat.Dense, t int, h Hyper) *mat.Dense {
		out, in := x.Dims()
		xi := ref.Project(x, g, rank)
		if t == 1 {
			m, rows, columns = ref.Combine(0, xi, 0, xi), make([]float64, out), make([]float64, in)
		}
		m = ref.Combine(r.Betas[0], ref.Project(x, m, rank), 1-r.Betas[0], xi)
		for i := range rows {
			rows[i] = r.Betas[1]*rows[i] + (1-r.Betas[1])*math.Pow(mat.Norm(xi.RowView(i), 2), 2)/float64(in)
		}
		for j := range columns {
			columns[j] = r.Betas[1]*columns[j] + (1-r.Betas[1])*math.Pow(mat.Norm(xi.ColView(j), 2), 2)/float64(out)
		}
		one, two := 1-math.Pow(r.Betas[0], float64(t)), 1-math.Pow(r.Betas[1], float64(t))
		mean := meanOf(rows) / two
		var d mat.Dense
		d.Apply(func(i, j int, v float64) float64 {
			return v / one / math.Sqrt(rows[i]/two*columns[j]/two/mean)
		}, m)
		return ref.Truncated(ref.Combine(1-h.LR*h.WeightDecay, x, -h.LR, ref.Project(x, &d, rank)), rank)
	}
}

// Law 8: eight steps with momentum and decay on thin factors end where the algorithm on whole matrices does.
func TestPathsAreThoseOfTheDenseAlgorithms(t *testing.T) {
	b, a, way := eight(6)
	for name, r := range wideRules(t) {
		var whole wholeRule
		switch rule := r.rule.(type) {
		case *Riemannion:
			whole = wholeRiemannion(rule, 3)
		case *GeoLoRA:
			whole = wholeRiemannSGD(&rule.RiemannSGD, 3, rule.Tolerance)
		case *RiemannSGD:
			if rule.Normalize == NormalizePaper {
				continue // it acts on coordinates, which whole matrices do not have
			}
			whole = wholeRiemannSGD(rule, 3, 0)
		case *LoRAProThinAdam:
			whole = wholeThinAdam(rule, 3)
		default:
			continue
		}
		x := startOf(b, a)
		for k := range way.steps {
			x = whole(x, way.gradient(x), k+1, way.h)
		}
		e := apart(r.end(t, b, a, way), x, startOf(b, a))
		t.Logf("%s: %.1e", name, e)
		if e > lawTolerance {
			t.Errorf("%s: ends %g of the way apart", name, e)
		}
	}
}

// firstOrder returns the derivative of the first step with respect to the learning rate, negative: rules on factors move X by a
// polynomial of second degree, whose first order a central difference gives exactly.
func firstOrder(t *testing.T, r wideRule, b, a, g *mat.Dense) *mat.Dense {
	t.Helper()
	const rate = 1e-2
	ends := map[float64]*mat.Dense{}
	for _, lr := range []float64{rate, -rate} {
		p := r.start(t, b, a)
		r.move(t, p, g, Hyper{LR: lr})
		ends[lr] = p.x()
	}
	return ref.Combine(-1/(2*rate), ends[rate], 1/(2*rate), ends[-rate])
}

// Law 12.
func TestFirstOrderOfLoRAProIsTheRiemannianGradient(t *testing.T) {
	b, a, way := eight(7)
	r := wideRules(t)["lora-pro"]
	r.rule.(*LoRAPro).Momentum = 0
	x := startOf(b, a)
	g := way.gradient(x)
	if e := ref.Relative(firstOrder(t, r, b, a, g), ref.Project(x, g, 3)); e > lawTolerance {
		t.Errorf("off by %g", e)
	}
}

// Law 12: for one projection, and as many as LoRA-TSD takes.
func TestFirstOrderOfLoRATSDIsTheDirectionOfRiemannion(t *testing.T) {
	b, a, way := eight(8)
	x := startOf(b, a)
	g := way.gradient(x)
	for _, projections := range []int{1, 3} {
		r := wideRules(t)["lora-tsd"]
		tsd := r.rule.(*LoRATSD)
		tsd.Projections, tsd.Momentum, tsd.Rebalance = projections, 0, 0
		want := ref.Project(x, g, 3)
		for range projections {
			want = ref.Project(x, ref.Sign(want), 3)
		}
		if e := ref.Relative(firstOrder(t, r, b, a, g), want); e > 1e-11 {
			t.Errorf("%d projections: off by %g", projections, e)
		}
	}
}

// Law 12: the balanced factors of exact LORO steps and the canonical ones of riemann-sgd without momentum are one path.
func TestExactLOROIsRiemannianGradientDescent(t *testing.T) {
	b, a, way := eight(9)
	way.h.WeightDecay = 0
	rules := wideRules(t)
	sgd := rules["riemann-sgd, none"]
	sgd.rule.(*RiemannSGD).Momentum = 0
	if e := apart(rules["loro, exact steps"].end(t, b, a, way), sgd.end(t, b, a, way), startOf(b, a)); e > lawTolerance {
		t.Errorf("ends %g of the way apart", e)
	}
}

// Law 12: GeoLoRA as its paper puts it, three parallel steps for U, S and V in an augmented core, is X - η·P_T(G) before it truncates;
// a point of rank 3 with room for 6 and a tolerance that drops nothing becomes just that.
func TestGeoLoRAWithoutTruncationIsAStepAlongTheRiemannianGradient(t *testing.T) {
	b, a, way := eight(10)
	x := startOf(b, a)
	g := way.gradient(x)
	const rate = 0.05
	want := ref.Combine(1, x, -rate, ref.Project(x, g, 3))
	if e := ref.Relative(parallelBUG(x, g, 3, rate), want); e > 1e-14 {
		t.Errorf("the augmented core is off X - η·P_T(G) by %g", e)
	}
	r := wideRules(t)["geolora"]
	geo := r.rule.(*GeoLoRA)
	geo.Momentum, geo.Tolerance = 0, 1e-13
	r.fixed = false
	u, s, v := ref.SVD(x)
	roomB, roomA := mat.NewDense(23, 6, nil), mat.NewDense(6, 17, nil)
	for j := range 3 {
		for i := range 23 {
			roomB.Set(i, j, u.At(i, j)*s[j]/wideScale)
		}
		for i := range 17 {
			roomA.Set(j, i, v.At(i, j))
		}
	}
	p := r.start(t, roomB, roomA)
	r.move(t, p, g, Hyper{LR: rate})
	if e := ref.Relative(p.x(), want); e > lawTolerance {
		t.Errorf("the step is off by %g", e)
	}
	if rank := rankOf(p.pair); rank != 6 {
		t.Errorf("rank %d, want 6", rank)
	}
	geo.Tolerance = 0.71 // at most one singular value is larger than 0.71 of the norm
	r.move(t, p, mat.NewDense(23, 17, nil), Hyper{LR: rate, WeightDecay: 1e-3})
	r.move(t, p, g, Hyper{LR: 1e-6})
	if rank := rankOf(p.pair); rank != 1 {
		t.Errorf("rank %d after truncation at 0.71 of the norm, want 1", rank)
	}
}

// parallelBUG is one step of arXiv 2410.18720 before truncation.
func parallelBUG(x, g *mat.Dense, rank int, rate float64) *mat.Dense {
	u, values, v := ref.SVD(x)
	m, n := x.Dims()
	u, v = mat.DenseCopyOf(u.Slice(0, m, 0, rank)), mat.DenseCopyOf(v.Slice(0, n, 0, rank))
	s := mat.NewDense(rank, rank, nil)
	for i := range rank {
		s.Set(i, i, values[i])
	}
	gv, gu := ref.Mul(g, v), ref.Mul(g.T(), u)
	s1 := ref.Combine(1, s, -rate, ref.Mul(u.T(), gv))
	k1, l1 := ref.Combine(1, ref.Mul(u, s), -rate, gv), ref.Combine(1, ref.Mul(v, s.T()), -rate, gu)
	left, right := outside(u, gv), outside(v, gu)
	core := mat.NewDense(2*rank, 2*rank, nil)
	core.Slice(0, rank, 0, rank).(*mat.Dense).Copy(s1)
	core.Slice(0, rank, rank, 2*rank).(*mat.Dense).Copy(ref.Mul(l1.T(), right))
	core.Slice(rank, 2*rank, 0, rank).(*mat.Dense).Copy(ref.Mul(left.T(), k1))
	var basisU, basisV mat.Dense
	basisU.Augment(u, left)
	basisV.Augment(v, right)
	return ref.Mul(&basisU, core, basisV.T())
}

// outside returns an orthonormal basis of the part of the columns of y outside the span of the orthonormal u.
func outside(u, y *mat.Dense) *mat.Dense {
	q, _, _ := ref.SVD(ref.Combine(1, y, -1, ref.Mul(u, u.T(), y)))
	return q
}
