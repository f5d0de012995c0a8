package cpu

// Normalize computes dst = (x - mean)*scale + offset. dst may be x.
func Normalize(dst, x []float32, mean, scale, offset float32) {
	x = x[:len(dst)]
	for i := normalizeFront(dst, x, mean, scale, offset); i < len(dst); i++ {
		dst[i] = (x[i]-mean)*scale + offset
	}
}

// ScaledProduct computes dst = x*scale*y. dst may be x or y.
func ScaledProduct(dst, x, y []float32, scale float32) {
	x, y = x[:len(dst)], y[:len(dst)]
	for i := scaledProductFront(dst, x, y, scale); i < len(dst); i++ {
		dst[i] = x[i] * scale * y[i]
	}
}

// AddNormalized computes dst += grad*((x - mean)*scale), what a normalised vector adds to the gradient of its weight.
func AddNormalized(dst, grad, x []float32, mean, scale float32) {
	grad, x = grad[:len(dst)], x[:len(dst)]
	for i := addNormalizedFront(dst, grad, x, mean, scale); i < len(dst); i++ {
		dst[i] += grad[i] * ((x[i] - mean) * scale)
	}
}

// NormGrad computes dst = grad*gain + (x - mean)*scale + offset. dst may be grad or x.
func NormGrad(dst, grad, x []float32, gain, mean, scale, offset float32) {
	grad, x = grad[:len(dst)], x[:len(dst)]
	for i := normGradFront(dst, grad, x, gain, mean, scale, offset); i < len(dst); i++ {
		dst[i] = grad[i]*gain + ((x[i]-mean)*scale + offset)
	}
}

// WeightedNormGrad is NormGrad of grad*w. dst may be any of the vectors.
func WeightedNormGrad(dst, grad, w, x []float32, gain, mean, scale, offset float32) {
	grad, w, x = grad[:len(dst)], w[:len(dst)], x[:len(dst)]
	for i := weightedNormGradFront(dst, grad, w, x, gain, mean, scale, offset); i < len(dst); i++ {
		dst[i] = grad[i]*w[i]*gain + ((x[i]-mean)*scale + offset)
	}
}

// NormSums returns the sums of grad and of grad*(x - mean), added in blocks in float32 and over the blocks in float64, in an order that
// depends on the length alone.
func NormSums(grad, x []float32, mean float32) (sum, pull float64) {
	x = x[:len(grad)]
	sum, pull, n := normSumsFront(grad, x, mean)
	for i := n; i < len(grad); i++ {
		sum += float64(grad[i])
		pull += float64(grad[i]) * float64(x[i]-mean)
	}
	return sum, pull
}

// WeightedNormSums is NormSums of grad*w.
func WeightedNormSums(grad, w, x []float32, mean float32) (sum, pull float64) {
	w, x = w[:len(grad)], x[:len(grad)]
	sum, pull, n := weightedNormSumsFront(grad, w, x, mean)
	for i := n; i < len(grad); i++ {
		g := float64(grad[i] * w[i])
		sum += g
		pull += g * float64(x[i]-mean)
	}
	return sum, pull
}

// Deviations returns the sum of the squares of x - mean, added as NormSums does.
func Deviations(x []float32, mean float32) float64 {
	sum, n := deviationsFront(x, mean)
	for _, v := range x[n:] {
		d := float64(v - mean)
		sum += d * d
	}
	return sum
}
