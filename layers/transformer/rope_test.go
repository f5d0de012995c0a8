package transformer

import (
	"math"
	"testing"
)

// near reports whether a float32 result is within a few roundings of want.
func near(got float32, want float64) bool { return math.Abs(float64(got)-want) <= 4e-7*math.Abs(want) }

func plainFrequency(r *Rope, i int) float64 {
	return math.Pow(r.Theta, -2*float64(i)/float64(r.Rot))
}

func TestPlainFrequenciesArePowersOfTheBase(t *testing.T) {
	r := &Rope{Type: "default", Theta: 10000, Rot: 64, Original: 2048}
	for i, f := range r.frequencies(10) {
		if !near(f, plainFrequency(r, i)) {
			t.Errorf("pair %d: found %v, expected %v", i, f, plainFrequency(r, i))
		}
	}
}

func TestLinearScalingDividesFrequencies(t *testing.T) {
	r := &Rope{Type: "linear", Theta: 10000, Rot: 32, Original: 2048, Factor: 4}
	for i, f := range r.frequencies(10) {
		if !near(f, plainFrequency(r, i)/4) {
			t.Errorf("pair %d: found %v, expected %v", i, f, plainFrequency(r, i)/4)
		}
	}
}

func TestDynamicScalingBeginsBeyondTheOriginalLength(t *testing.T) {
	r := &Rope{Type: "dynamic", Theta: 10000, Rot: 16, Original: 100, Factor: 2}
	plain := &Rope{Type: "default", Theta: 10000, Rot: 16}
	for i, f := range r.frequencies(100) {
		if want := plain.frequencies(0)[i]; f != want {
			t.Errorf("within the original length, pair %d: found %v, expected %v", i, f, want)
		}
	}
	base := 10000 * math.Pow(2*300.0/100-1, 16.0/14)
	for i, f := range r.frequencies(300) {
		if want := math.Pow(base, -2*float64(i)/16); !near(f, want) {
			t.Errorf("at three times the length, pair %d: found %v, expected %v", i, f, want)
		}
	}
}

func TestLlama3ScalingKeepsFastAndDividesSlowFrequencies(t *testing.T) {
	r := &Rope{Type: "llama3", Theta: 500000, Rot: 128, Original: 8192, Factor: 8, LowFreq: 1, HighFreq: 4}
	var kept, divided, blended int
	for i, f := range r.frequencies(0) {
		plain := plainFrequency(r, i)
		turns := 8192 * plain / (2 * math.Pi) // over the original context
		switch {
		case turns > 4:
			kept++
			if !near(f, plain) {
				t.Errorf("pair %d turns %.2f times: found %v, expected %v", i, turns, f, plain)
			}
		case turns < 1:
			divided++
			if !near(f, plain/8) {
				t.Errorf("pair %d turns %.2f times: found %v, expected %v", i, turns, f, plain/8)
			}
		default:
			blended++
			s := (turns - 1) / 3
			if want := (1-s)*plain/8 + s*plain; math.Abs(float64(f)-want) > 1e-5*want {
				t.Errorf("pair %d turns %.2f times: found %v, expected %v", i, turns, f, want)
			}
		}
	}
	if kept == 0 || divided == 0 || blended == 0 {
		t.Errorf("the test saw %d kept, %d divided and %d blended frequencies, expected some of each", kept, divided, blended)
	}
}

func TestYarnBlendsBetweenItsTwoTurns(t *testing.T) {
	r := &Rope{Type: "yarn", Theta: 1e6, Rot: 128, Original: 32768, Factor: 4, BetaFast: 32, BetaSlow: 1, Truncate: true}
	freq := r.frequencies(0)
	low := math.Floor(128 * math.Log(32768/(32*2*math.Pi)) / (2 * math.Log(1e6)))
	high := math.Ceil(128 * math.Log(32768/(2*math.Pi)) / (2 * math.Log(1e6)))
	for i, f := range freq {
		plain := plainFrequency(r, i)
		ramp := min(max((float64(i)-low)/(high-low), 0), 1)
		if want := plain/4*ramp + plain*(1-ramp); math.Abs(float64(f)-want) > 1e-6*want {
			t.Errorf("pair %d: found %v, expected %v", i, f, want)
		}
	}
}

func TestTablesHoldCosinesTimesTheAttentionFactor(t *testing.T) {
	r := &Rope{Type: "yarn", Theta: 10000, Rot: 8, Original: 16, Factor: 4, BetaFast: 32, BetaSlow: 1, Truncate: true, AttentionFactor: 1.5}
	tab := r.newTables(20)
	r.fill(tab, 0, 20, 20)
	freq := r.frequencies(20)
	for p := range 20 {
		for i, f := range freq {
			angle := float64(float32(p) * f)
			c, s := tab.cos.F32[p*4+i], tab.sin.F32[p*4+i]
			if math.Abs(float64(c)-1.5*math.Cos(angle)) > 3e-7 || math.Abs(float64(s)-1.5*math.Sin(angle)) > 3e-7 {
				t.Fatalf("position %d, pair %d: found %v, %v", p, i, c, s)
			}
		}
	}
}

func TestGenerationTablesGrowWithTheTextUnderDynamicScaling(t *testing.T) {
	r := &Rope{Type: "dynamic", Theta: 10000, Rot: 8, Original: 6, Factor: 2}
	got, want := r.newTables(12), r.newTables(12)
	r.fillGeneration(got, 8)
	r.fill(want, 0, 8, 8) // the prompt is longer than the original context
	for p := 8; p < 12; p++ {
		r.fill(want, p, p+1, p+1)
	}
	for i := range want.cos.F32 {
		if got.cos.F32[i] != want.cos.F32[i] || got.sin.F32[i] != want.sin.F32[i] {
			t.Fatalf("row %d differs", i/4)
		}
	}
	short := r.newTables(12)
	r.fillGeneration(short, 2)
	if short.cos.F32[6*4+1] == got.cos.F32[6*4+1] {
		t.Error("row 6 is the same for prompts of 2 and 8 tokens, whose frequencies differ there")
	}
}
