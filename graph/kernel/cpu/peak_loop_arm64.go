package cpu

func peakLoopOf(l level) peakLoop {
	if l == neon {
		return peakLoop{peakRounds * 24 * 4, func(x *peakOperands, n int) { peakNEON(&x[0], n) }}
	}
	return peakGeneric
}
