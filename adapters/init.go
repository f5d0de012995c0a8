package adapters

import (
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"

	"github.com/geotune/geotune/graph/kernel/dense"
	"github.com/geotune/geotune/optim/manifold"
)

// initializer is one way to start the factors of a new adapter.
type initializer struct {
	// fill sets the factors from what initInput holds, nil where they come from the gradient; fromWeight says that the weight alone
	// decides.
	fill       func(*initInput) error
	fromWeight bool
	// gradient sets the factors from the leading singular triplets of the gradient.
	gradient func(*initInput, manifold.SVD[float32])
	// triplets times the rank is how many singular triplets, of the gradient or of a matrix of the weight's shape, it takes; 0 for those
	// that go with any rank.
	triplets int
	// peft is its name in PEFT's init_lora_weights, empty where PEFT does not know it.
	peft string
	// defaults are those of the settings that belong to it. It has a Base if its X0 is not 0 and is made up for.
	defaults Init
}

// initInput is what an initialisation of X = scale·B·A may use.
type initInput struct {
	rng           *rand.Rand
	in, out, rank int
	scale         float32
	weight        func() []float32 // the base weight, (out,in)
	a, b          []float32        // the factors (rank,in) and (out,rank), zeroed
	settings      Init
}

// factors returns A and B as matrices.
func (x *initInput) factors() (a, b dense.Mat[float32]) {
	return dense.Of(x.a, x.rank, x.in), dense.Of(x.b, x.out, x.rank)
}

// kaimingInit is PEFT's default: A as torch.nn.Linear starts (Kaiming uniform with a=√5, uniform in ±1/√in), B zero.
func kaimingInit(x *initInput) error {
	bound := 1 / math.Sqrt(float64(x.in))
	for i := range x.a {
		x.a[i] = float32((2*x.rng.Float64() - 1) * bound)
	}
	return nil
}

// gaussianInit is PEFT's "gaussian": A normal with deviation 1/rank, B zero.
func gaussianInit(x *initInput) error {
	for i := range x.a {
		x.a[i] = float32(x.rng.NormFloat64() / float64(x.rank))
	}
	return nil
}

// orthogonalInit is PEFT's "orthogonal": with the rows of a random orthogonal matrix split into odd ones P and even ones Q, A = Pᵀ·G
// and B = H·Q for normal G and H, over 10. Both factors are non-zero and B·A = H·Q·Pᵀ·G = 0.
func orthogonalInit(x *initInput) error {
	if x.rank%2 != 0 {
		return fmt.Errorf("init orthogonal needs an even rank, found %d", x.rank)
	}
	g := mat.NewDense(x.rank, x.rank, normals(x.rng, x.rank*x.rank))
	var qr mat.QR
	var q mat.Dense
	qr.Factorize(g)
	qr.QTo(&q)
	half := x.rank / 2
	odd, even := mat.NewDense(half, x.rank, nil), mat.NewDense(half, x.rank, nil)
	for i := range half {
		odd.SetRow(i, q.RawRowView(2*i))
		even.SetRow(i, q.RawRowView(2*i+1))
	}
	var a, b mat.Dense
	a.Mul(odd.T(), mat.NewDense(half, x.in, normals(x.rng, half*x.in)))
	b.Mul(mat.NewDense(x.out, half, normals(x.rng, x.out*half)), even)
	for i, v := range a.RawMatrix().Data {
		x.a[i] = float32(v / 10)
	}
	for i, v := range b.RawMatrix().Data {
		x.b[i] = float32(v / 10)
	}
	return nil
}

func normals(rng *rand.Rand, n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = rng.NormFloat64()
	}
	return out
}

// matrix returns the base weight in float64, (out,in).
func (x *initInput) matrix() *mat.Dense {
	data := make([]float64, x.out*x.in)
	for i, v := range x.weight() {
		data[i] = float64(v)
	}
	return mat.NewDense(x.out, x.in, data)
}
