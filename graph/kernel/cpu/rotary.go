package cpu

// rotaryStep divides the number of pairs of a head that the assembly turns.
const rotaryStep = 8

// Rotate turns the pairs (src[j], src[j+len(cos)]) of the given number of vectors, each stride after the one before, by the angles with
// cosines cos and sines sign*sin:
//
//	dst[j] = src[j]*cos[j] - src[j+len(cos)]*sign*sin[j]
//	dst[j+len(cos)] = src[j+len(cos)]*cos[j] + src[j]*sign*sin[j]
//
// dst may be src; what lies between the vectors stays.
func Rotate(dst, src, cos, sin []float32, sign float32, heads, stride int) {
	half := len(cos)
	sin = sin[:half]
	done := rotateFront(dst, src, cos, sin, sign, heads, stride)
	if done == half {
		return
	}
	for h := range heads {
		to, from := dst[h*stride:][:2*half], src[h*stride:][:2*half]
		for j := done; j < half; j++ {
			u, v, c, s := from[j], from[j+half], cos[j], sign*sin[j]
			to[j] = u*c - v*s
			to[j+half] = v*c + u*s
		}
	}
}
