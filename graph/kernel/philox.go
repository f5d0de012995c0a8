package kernel

// philox is the counter-based random number generator Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as
// easy as 1, 2, 3" (SC 2011): ten rounds of a keyed bijection on 128-bit counters. Distinct counters give independent values, in
// any order, so that no state has to be kept or shared between threads.
//
// It fills words with the four values of each of the counters (first, rest...), (first+1, rest...), ...; two at a time, because one
// alone would wait for its multiplications.
func philox(words []uint32, first uint32, rest [3]uint32, key [2]uint32) {
	const (
		mul0, mul1   = 0xD2511F53, 0xCD9E8D57
		weyl0, weyl1 = 0x9E3779B9, 0xBB67AE85
		low          = 1<<32 - 1
	)
	for ; len(words) > 0; first += 2 {
		k0, k1 := key[0], key[1]
		a0, a1, a2, a3 := uint64(first), uint64(rest[0]), uint64(rest[1]), uint64(rest[2])
		b0, b1, b2, b3 := uint64(first+1), a1, a2, a3
		for range 10 {
			p, q, r, s := mul0*a0, mul1*a2, mul0*b0, mul1*b2
			a0, a1, a2, a3 = q>>32^a1^uint64(k0), q&low, p>>32^a3^uint64(k1), p&low
			b0, b1, b2, b3 = s>>32^b1^uint64(k0), s&low, r>>32^b3^uint64(k1), r&low
			k0 += weyl0
			k1 += weyl1
		}
		pair := [8]uint32{uint32(a0), uint32(a1), uint32(a2), uint32(a3), uint32(b0), uint32(b1), uint32(b2), uint32(b3)}
		words = words[copy(words, pair[:]):]
	}
}
