package cpu

func peakLoopOf(l level) peakLoop {
	switch l {
	case avx512:
		return peakLoop{peakRounds * 24 * 16, func(x *peakOperands, n int) { peakAVX512(&x[0], n) }}
	case avx2:
		return peakLoop{peakRounds * 12 * 8, func(x *peakOperands, n int) { peakAVX2(&x[0], n) }}
	}
	return peakGeneric
}
