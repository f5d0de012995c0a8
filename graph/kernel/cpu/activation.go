package cpu

import (
	"fmt"
	"math"
)

// Activation is a function of one variable that is applied to each element. Values and derivatives have an error of a few roundings of
// the result and of the argument; those that float32 can hardly hold, below 2e-35, may be 0. NaN stays, and ±Inf gives the limits: 0 and
// +Inf, with derivatives 0 and 1. An element has the same result wherever it stands.
type Activation int

const (
	SiLU     Activation = iota // x·σ(x)
	GELU                       // x·Φ(x) with the normal distribution Φ
	GELUTanh                   // x/2·(1 + tanh(√(2/π)(x + 0.044715x³)))
)

// Apply computes y = f(x). y may be x.
func (f Activation) Apply(y, x []float32) {
	f.run(valueForm, activationOperands{inX: x, outY: y[:len(x)]})
}

// Gradient computes dx = dy·f'(x). dx may be dy or x.
func (f Activation) Gradient(dx, dy, x []float32) {
	n := len(x)
	f.run(slopeForm, activationOperands{inX: x, inA: dy[:n], outY: dx[:n]})
}

// Gate computes y = f(gate)·up. y may be gate or up.
func (f Activation) Gate(y, gate, up []float32) {
	n := len(gate)
	f.run(gatedForm, activationOperands{inX: gate, inA: up[:n], outY: y[:n]})
}

// GateGradient computes dgate = dy·up·f'(gate) and dup = dy·f(gate). Either may be nil, or lie exactly over one of the operands.
func (f Activation) GateGradient(dgate, dup, dy, gate, up []float32) {
	n := len(gate)
	switch {
	case dgate == nil && dup == nil:
	case dgate == nil:
		f.Gate(dup, gate, dy)
	case dup == nil:
		f.run(gatedSlopeForm, activationOperands{inX: gate, inA: dy[:n], inB: up[:n], outY: dgate[:n]})
	default:
		f.run(bothForm, activationOperands{inX: gate, inA: dy[:n], inB: up[:n], outY: dgate[:n], outZ: dup[:n]})
	}
}

// activationForm is what is computed with the function.
type activationForm int

const (
	valueForm      activationForm = iota // y = f(x)
	slopeForm                            // y = a·f'(x)
	gatedForm                            // y = a·f(x)
	gatedSlopeForm                       // y = a·b·f'(x)
	bothForm                             // y = a·b·f'(x) and z = a·f(x)
)

// The vectors of activationOperands and activationCall.
const (
	inX = iota
	inA
	inB
	outY
	outZ
)

// activationOperands are equally long vectors, nil where the form has none. A result lies over an operand exactly or not at all.
type activationOperands [5][]float32

// activationStep divides the number of elements of a call of the assembly.
const activationStep = 64

// activationCall is the argument of the assembly, which knows the offsets of the fields.
type activationCall struct {
	n       int
	vectors [5]*float32
}

// run leaves whole steps in place to the assembly and brings the rest into buffers.
func (f Activation) run(form activationForm, v activationOperands) {
	if f < SiLU || f > GELUTanh {
		panic(fmt.Sprintf("cpu: no activation %d", int(f)))
	}
	l := currentLevel()
	if l == generic {
		f.generic(form, v)
		return
	}
	n := len(v[inX])
	steps := n / activationStep * activationStep
	for i := 0; i < steps; i += asmMost {
		c := activationCall{n: min(asmMost, steps-i)}
		for k, s := range v {
			if s != nil {
				c.vectors[k] = &s[i]
			}
		}
		f.call(l, form, &c)
	}
	if steps < n {
		var rest [5][activationStep]float32
		c := activationCall{n: activationStep}
		for k, s := range v {
			if s != nil && k < outY {
				copy(rest[k][:], s[steps:])
			}
			c.vectors[k] = &rest[k][0]
		}
		f.call(l, form, &c)
		copy(v[outY][steps:], rest[outY][:])
		if v[outZ] != nil {
			copy(v[outZ][steps:], rest[outZ][:])
		}
	}
}

// number is the place of a kernel in the tables of the assembly.
func (f Activation) number(form activationForm) int { return int(form)*(int(GELUTanh)+1) + int(f) }

// generic computes in float64.
func (f Activation) generic(form activationForm, v activationOperands) {
	a, b, y, z := v[inA], v[inB], v[outY], v[outZ]
	for i, x := range v[inX] {
		wide, wideSlope := f.at(float64(x))
		value, slope := float32(wide), float32(wideSlope)
		switch form {
		case valueForm:
			y[i] = value
		case slopeForm:
			y[i] = slope * a[i]
		case gatedForm:
			y[i] = value * a[i]
		case gatedSlopeForm:
			y[i] = slope * a[i] * b[i]
		case bothForm:
			y[i], z[i] = slope*a[i]*b[i], value*a[i]
		}
	}
}

// at returns f(x) and f'(x), as the assembly does: all three functions have f(x) = max(x, 0) + f(-|x|) and f'(x) = 1 - f'(-x), so that
// only their negative halves f(m) = m·q(m) are computed, where nothing overflows and little cancels.
func (f Activation) at(x float64) (value, slope float64) {
	m := -min(math.Abs(x), 1000) // where f and f' are 0
	var q float64
	switch f {
	case SiLU:
		q = sigmoid(m)
		slope = q * (1 + m*(1-q))
	case GELU:
		q = math.Erfc(-m/math.Sqrt2) / 2
		slope = q + m*math.Exp(-m*m/2)/math.Sqrt(2*math.Pi)
	case GELUTanh: // (1 + tanh u)/2 = σ(2u)
		const c, cubic = 2 * math.Sqrt2 / math.SqrtPi, 0.044715
		q = sigmoid(c * m * (1 + cubic*m*m))
		slope = q * (1 + m*(1-q)*c*(1+3*cubic*m*m))
	}
	if x > 0 {
		slope = 1 - slope
	}
	return max(x, 0) + m*q, slope
}

// sigmoid returns eˣ/(1+eˣ) for x <= 0.
func sigmoid(x float64) float64 {
	e := math.Exp(x)
	return e / (1 + e)
}
