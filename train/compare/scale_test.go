package compare

import (
	"math"
	"reflect"
	"testing"
)

func TestTicksAreRound(t *testing.T) {
	for _, c := range []struct {
		s     scale
		about int
		want  []string
	}{
		{scale{lo: 0, hi: 12}, 6, []string{"0", "2", "4", "6", "8", "10", "12"}},
		{scale{lo: 50, hi: 100}, 5, []string{"50", "60", "70", "80", "90", "100"}},
		{scale{lo: 1.42, hi: 1.4452}, 5, []string{"1.42", "1.43", "1.44"}},
		{scale{lo: -0.3, hi: 0.3}, 3, []string{"-0.2", "0.0", "0.2"}},
		{scale{lo: 0, hi: 3, whole: true}, 8, []string{"0", "1", "2", "3"}},
		{scale{lo: 8e-4, hi: 0.012, log: true}, 8, []string{"0.001", "0.002", "0.005", "0.01"}},
		{scale{lo: 1e-4, hi: 10, log: true}, 8, []string{"0.0001", "0.001", "0.01", "0.1", "1", "10"}},
		{scale{lo: 1e-6, hi: 1e6, log: true}, 8, []string{"1e-06", "0.0001", "0.01", "1", "100", "1e+04", "1e+06"}},
	} {
		var got []string
		for _, k := range c.s.ticks(c.about) {
			got = append(got, k.label)
			if k.value < c.s.lo*(1-1e-9)-1e-9 || k.value > c.s.hi*(1+1e-9) {
				t.Errorf("%+v: tick at %v", c.s, k.value)
			}
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v: ticks %q, want %q", c.s, got, c.want)
		}
	}
}

func TestScalesMapTheirEnds(t *testing.T) {
	for _, s := range []scale{{lo: 2, hi: 6, from: 10, to: 110}, {lo: 2, hi: 8, from: 300, to: 20, log: true}} {
		middle := 4.0 // of both: arithmetic and geometric
		for v, want := range map[float64]float64{s.lo: s.from, s.hi: s.to, middle: (s.from + s.to) / 2} {
			if got := s.at(v); math.Abs(got-want) > 1e-9 {
				t.Errorf("%+v: %v is at %v, want %v", s, v, got, want)
			}
		}
	}
}
