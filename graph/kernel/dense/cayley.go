package dense

import "github.com/geotune/geotune/graph/kernel/cpu"

// Cayley computes the orthogonal matrices q = (I-K)⁻¹·(I+K) with K = (a-aᵀ)/2, the skew part, for each matrix a of a stack: the
// parametrisation of "Group and Shuffle" (arXiv 2406.10019) and of OFT. q may be a. I-K is never singular; it is factored in float64,
// so that q is orthogonal up to the rounding of its elements however large a is. Cost: 2·n³ operations each, on all threads.
func Cayley[T Float](a, q Stack[T]) {
	squareStack(a)
	sameStack(a, q)
	switch a := any(a).(type) {
	case Stack[float32]:
		cayley32.Run(a.groups(), a.groupGrain(), stackPair[float32]{a, any(q).(Stack[float32])})
	case Stack[float64]:
		cayley64.Run(a.groups(), a.groupGrain(), stackPair[float64]{a, any(q).(Stack[float64])})
	}
}

// stackPair are the operands of a function from one stack to another.
type stackPair[T Float] struct{ from, to Stack[T] }

var (
	cayley32 = cpu.NewLoop(cayleyGroups[float32])
	cayley64 = cpu.NewLoop(cayleyGroups[float64])
)

// cayleyGroups runs over groups of matrices and uses q = 2·(I-K)⁻¹ - I.
func cayleyGroups[T Float](s *stackPair[T], lo, hi int) {
	n, pool := s.from.Rows, stackPool[T]()
	w := pool.Get()
	for g := lo; g < hi; g++ {
		mark := w.Mark()
		f, y := newLU(w, n), laneScratch(w, n, n)
		s.from.group(w, g).load(y, inPlace)
		f.matrix().Skew(0.5, y)
		addIdentity(f.matrix(), 1)
		f.factor(0)
		clear(y.Data)
		f.invert(2, y)
		addIdentity(y, -1)
		s.to.group(w, g).store(y, [cpu.Lanes]bool{})
		w.Release(mark)
	}
	pool.Put(w)
}

// addIdentity adds c to the diagonals.
func addIdentity(m cpu.LaneMat, c float64) {
	for i := range m.Rows {
		for l := range m.At(i, i) {
			m.At(i, i)[l] += c
		}
	}
}

// CayleyGrad computes the gradient da of a loss with respect to a from that with respect to q = Cayley(a), dq:
//
//	da = skew(2·(I+K)⁻¹·dq·(I+K)⁻¹) = skew((I+q)ᵀ·dq·(I+q)ᵀ)/2
//
// where the second form needs no factors, since (I-K)⁻¹ = (I+q)/2. Its error is rounding relative to the norm of dq. da may be dq.
// Cost: two products of 2·n³ operations each.
func CayleyGrad[T Float](q, dq, da Stack[T]) {
	squareStack(q)
	sameStack(q, dq)
	sameStack(q, da)
	switch q := any(q).(type) {
	case Stack[float32]:
		cayleyGrad32.Run(q.N, q.groupGrain(), cayleyGradArgs[float32]{q, any(dq).(Stack[float32]), any(da).(Stack[float32])})
	case Stack[float64]:
		cayleyGrad64.Run(q.N, q.groupGrain(), cayleyGradArgs[float64]{q, any(dq).(Stack[float64]), any(da).(Stack[float64])})
	}
}

type cayleyGradArgs[T Float] struct{ q, dq, da Stack[T] }

var (
	cayleyGrad32 = cpu.NewLoop(cayleyGrads[float32])
	cayleyGrad64 = cpu.NewLoop(cayleyGrads[float64])
)

// cayleyGrads runs over matrices.
func cayleyGrads[T Float](s *cayleyGradArgs[T], lo, hi int) {
	n, pool := s.q.Rows, stackPool[T]()
	w := pool.Get()
	h, m := w.Mat(n, n), w.Mat(n, n)
	for b := lo; b < hi; b++ {
		qt, dq, da := s.q.At(b).T(), s.dq.At(b), s.da.At(b)
		Copy(h, dq)
		Mul(1, qt, dq, 1, h)
		Copy(m, h)
		Mul(1, h, qt, 1, m)
		for i := range n {
			da.Set(i, i, 0)
			for j := range i {
				v := (m.Data[i*n+j] - m.Data[j*n+i]) / 4
				da.Data[i*n+j], da.Data[j*n+i] = v, -v
			}
		}
	}
	pool.Put(w)
}

// InverseCayley computes the skew matrices k = (q+I)⁻¹·(q-I), for which Cayley(k) is q, for each orthogonal matrix q of a stack. k may
// be q. A rotation by π has none: where q has the eigenvalue -1, up to rounding, k is NaN and a *[SingularError] names the first such
// matrix. Cost: 2·n³ operations each, on all threads.
func InverseCayley[T Float](q, k Stack[T]) error {
	squareStack(q)
	sameStack(q, k)
	switch q := any(q).(type) {
	case Stack[float32]:
		inverseCayley32.Run(q.groups(), q.groupGrain(), stackPair[float32]{q, any(k).(Stack[float32])})
	case Stack[float64]:
		inverseCayley64.Run(q.groups(), q.groupGrain(), stackPair[float64]{q, any(k).(Stack[float64])})
	}
	return firstNaN(k)
}

var (
	inverseCayley32 = cpu.NewLoop(inverseCayleyGroups[float32])
	inverseCayley64 = cpu.NewLoop(inverseCayleyGroups[float64])
)

// inverseCayleyGroups runs over groups of matrices and uses k = I - 2·(I+q)⁻¹, of which it keeps the skew part.
func inverseCayleyGroups[T Float](s *stackPair[T], lo, hi int) {
	n, pool := s.from.Rows, stackPool[T]()
	w := pool.Get()
	for g := lo; g < hi; g++ {
		mark := w.Mark()
		f, y := newLU(w, n), laneScratch(w, n, n)
		s.from.group(w, g).load(f.matrix(), inPlace)
		addIdentity(f.matrix(), 1)
		singular := f.factor(float64(n) * RankTol[T]())
		f.invert(1, y)
		f.matrix().Skew(1, y)
		s.to.group(w, g).store(f.matrix(), singular)
		w.Release(mark)
	}
	pool.Put(w)
}
