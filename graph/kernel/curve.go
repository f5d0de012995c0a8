package kernel

import (
	"math"

	"github.com/geotune/geotune/graph/kernel/cpu"
)

// curve is a scalar function applied to each element of a block.
type curve struct {
	name string
	// value computes y = f(x). Neither y nor work, which is as long, overlaps x.
	value func(y, x, work []float32)
	// both computes y = f(x) and d = f'(x).
	both func(y, d, x, work []float32)
}

var siluCurve = curve{
	name: "silu",
	value: func(y, x, _ []float32) {
		cpu.Sigmoid(y, x)
		for i, v := range x {
			y[i] *= v
		}
	},
	both: func(y, d, x, s []float32) {
		cpu.Sigmoid(s, x)
		y, d, s = y[:len(x)], d[:len(x)], s[:len(x)]
		for i, v := range x {
			y[i] = v * s[i]
			d[i] = s[i] * (1 + v*(1-s[i]))
		}
	},
}

var reluCurve = curve{
	name: "relu",
	value: func(y, x, _ []float32) {
		for i, v := range x {
			y[i] = max(v, 0)
		}
	},
	both: func(y, d, x, _ []float32) {
		for i, v := range x {
			y[i], d[i] = max(v, 0), 0
			if v > 0 {
				d[i] = 1
			}
		}
	},
}

// geluCurve is x·Φ(x) with the normal distribution Φ(x) = (1 + erf(x/√2))/2, whose density is e^(-x²/2)/√(2π).
var geluCurve = curve{
	name: "gelu",
	value: func(y, x, erf []float32) {
		erfScaled(erf, x)
		for i, v := range x {
			y[i] = 0.5 * v * (1 + erf[i])
		}
	},
	both: func(y, d, x, work []float32) {
		y, d, work = y[:len(x)], d[:len(x)], work[:len(x)]
		for i, v := range x {
			work[i] = -0.5 * v * v
		}
		cpu.Exp(d, work)
		erfScaled(work, x)
		for i, v := range x {
			phi := 0.5 * (1 + work[i])
			y[i] = v * phi
			d[i] = phi + v*d[i]*(1/(math.Sqrt2*math.SqrtPi))
		}
	},
}

// erfScaled computes erf(x/√2).
func erfScaled(y, x []float32) {
	for i, v := range x {
		y[i] = v * (1 / math.Sqrt2)
	}
	cpu.Erf(y, y)
}

// The constants of GELU's approximation by tanh: √(2/π) and the factor of the cube.
const (
	geluScale = math.Sqrt2 / math.SqrtPi
	geluCube  = 0.044715
)

var geluTanhCurve = curve{
	name: "gelu_tanh",
	value: func(y, x, tanh []float32) {
		tanhCubic(tanh, x)
		for i, v := range x {
			y[i] = 0.5 * v * (1 + tanh[i])
		}
	},
	both: func(y, d, x, tanh []float32) {
		tanhCubic(tanh, x)
		y, d, tanh = y[:len(x)], d[:len(x)], tanh[:len(x)]
		for i, v := range x {
			t := tanh[i]
			y[i] = 0.5 * v * (1 + t)
			d[i] = 0.5*(1+t) + 0.5*v*(1-t*t)*geluScale*(1+3*geluCube*v*v)
		}
	},
}

// tanhCubic computes tanh(√(2/π)(x + 0.044715x³)).
func tanhCubic(y, x []float32) {
	for i, v := range x {
		y[i] = geluScale * v * (1 + geluCube*v*v)
	}
	cpu.Tanh(y, y)
}
