package cpu

// The functions below run the assembly on the front of equally long vectors and return how many elements it handled, none at the generic
// level, or whether it handled them all.

// front64 returns the number of elements the assembly handles, a multiple of 4.
func front64(n int) int {
	if currentLevel() == generic {
		return 0
	}
	return n &^ 3
}

func axpy64Front(s float64, x, y []float64) int {
	n := front64(len(x))
	for i := 0; i < n; i += asmMost {
		axpy64AVX2(s, &x[i], &y[i], min(asmMost, n-i))
	}
	return n
}

func rotate64Front(c, s float64, a, b []float64) int {
	n := front64(len(a))
	for i := 0; i < n; i += asmMost {
		rotate64AVX2(c, s, &a[i], &b[i], min(asmMost, n-i))
	}
	return n
}

func dot64Front(x, y []float64) (sum float64, done bool) {
	if len(x) == 0 || currentLevel() == generic {
		return 0, false
	}
	return dot64AVX2(&x[0], &y[0], len(x)), true
}

func squaresFront(x []float32) (sum float64, done bool) {
	if len(x) == 0 || currentLevel() == generic {
		return 0, false
	}
	return squaresAVX2(&x[0], len(x)), true
}

func dots64Front(x0, x1, y0, y1 []float64, p *[4]float64) bool {
	if len(x0) == 0 || currentLevel() == generic {
		return false
	}
	gram64AVX2(&x0[0], &x1[0], &y0[0], &y1[0], len(x0), &p[0])
	return true
}
