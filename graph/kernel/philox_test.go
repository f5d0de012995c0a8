package kernel

import (
	"slices"
	"testing"
)

// The known answers of Random123 (file kat_vectors, philox4x32 with 10 rounds).
func TestPhiloxKnownAnswers(t *testing.T) {
	const ones = 0xffffffff
	for _, c := range []struct {
		first uint32
		rest  [3]uint32
		key   [2]uint32
		want  []uint32
	}{
		{0, [3]uint32{}, [2]uint32{}, []uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{ones, [3]uint32{ones, ones, ones}, [2]uint32{ones, ones}, []uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{0x243f6a88, [3]uint32{0x85a308d3, 0x13198a2e, 0x03707344}, [2]uint32{0xa4093822, 0x299f31d0}, []uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	} {
		got := make([]uint32, 4)
		philox(got, c.first, c.rest, c.key)
		if !slices.Equal(got, c.want) {
			t.Errorf("counter %x %x, key %x: %x, want %x", c.first, c.rest, c.key, got, c.want)
		}
		before := make([]uint32, 7) // the same counter as the second of a pair
		philox(before, c.first-1, c.rest, c.key)
		if !slices.Equal(before[4:], c.want[:3]) {
			t.Errorf("counter %x %x after its predecessor: %x, want %x", c.first, c.rest, before[4:], c.want[:3])
		}
	}
}
