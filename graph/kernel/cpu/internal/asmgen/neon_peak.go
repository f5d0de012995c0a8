package main

import "fmt"

// neonPeak writes the loop that measures the rate of fused multiply-adds in 24 chains, which hide 4 cycles of latency on up to 6 ports.
func neonPeak(f *neonFile) {
	const chains = 24
	args := f.function("peakNEON", "x *float32, n int", false,
		fmt.Sprintf("does n turns of %d multiply-adds in each of %d chains of vectors; x has 2 values, then room for a vector.", peakRounds, chains))
	f.load(args, 0, "x", "n")
	f.emit("VLD1R.P 4(R0), [V30.S4]")
	f.emit("VLD1R.P 4(R0), [V31.S4]")
	f.zero(span(0, chains)...)
	f.label("loop")
	for range peakRounds {
		for i := range chains {
			f.fmla(30, 31, i)
		}
	}
	f.emit("SUBS $1, R1, R1")
	f.emit("BNE loop")
	for i := 1; i < chains; i++ {
		f.op3("FADD", i, 0, 0)
	}
	f.emit("VST1 [V0.S4], (R0)")
	f.emit("RET")
}
