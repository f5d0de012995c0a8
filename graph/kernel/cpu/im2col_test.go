package cpu

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// matrix returns the matrix of patches, element by element.
func (p *Patches) matrix() Mat {
	m := Dense(make([]float32, p.Rows()*p.Cols()), p.Rows(), p.Cols())
	for r := range m.Rows {
		c, i, j := r/(p.KernelH*p.KernelW), r/p.KernelW%p.KernelH, r%p.KernelW
		for q := range m.Cols {
			y, x := q/p.OutW*p.StepY+p.FirstY+i*p.TapY, q%p.OutW*p.StepX+p.FirstX+j*p.TapX
			if y >= 0 && y < p.Height && x >= 0 && x < p.Width {
				*m.at(r, q) = p.Data[(c*p.Height+y)*p.Width+x]
			}
		}
	}
	return m
}

// randomPatches returns patches of odd sizes, most of them of convolutions, some that lie far outside of the image.
func randomPatches(r *rand.Rand, channels int) Patches {
	p := Patches{
		Channels: channels, Height: 1 + r.IntN(20), Width: 1 + r.IntN(40), KernelH: 1 + r.IntN(4), KernelW: 1 + r.IntN(4),
		OutH: 1 + r.IntN(20), OutW: 1 + r.IntN(40), StepY: 1 + r.IntN(2), StepX: 1 + r.IntN(2), FirstY: r.IntN(5) - 3, FirstX: r.IntN(5) - 3,
		TapY: 1, TapX: 1,
	}
	switch r.IntN(4) {
	case 0:
		p.TapY, p.TapX = -1, -1
	case 1:
		p.TapY, p.TapX = 1+r.IntN(3), -r.IntN(2)
	case 2:
		p.FirstY, p.FirstX = r.IntN(101)-50, r.IntN(101)-50
	}
	p.Data = fill(Dense(make([]float32, p.Channels*p.Height*p.Width), p.Channels, p.Height*p.Width), uniform(r)).Data
	return p
}

func TestGemmPatchesEqualsFloat64(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(81, 82))
		for n := range 120 {
			p := randomPatches(r, 1+r.IntN(8))
			m := 1 + r.IntN(40)
			if n%40 == 0 {
				m, p = 170+r.IntN(20), randomPatches(r, 40+r.IntN(30)) // shared panels, several blocks of k
			}
			b := p.matrix()
			alpha, beta := []float32{1, -0.75}[r.IntN(2)], []float32{0, 1, 0.5}[r.IntN(3)]
			for _, transposed := range []bool{false, true} {
				product := GemmPatches
				if transposed {
					b, product = b.T(), GemmPatchesT
				}
				a := fill(layouts[r.IntN(len(layouts))].view(m, b.Rows), uniform(r))
				c := fill(layouts[2*r.IntN(2)].view(m, b.Cols), uniform(r))
				before := clone(c)
				product(alpha, a, p, beta, c)
				geometry := p
				geometry.Data = nil
				checkProductOf(t, fmt.Sprintf("%d rows, transposed %v: %+v", m, transposed, geometry), alpha, a, b, beta, before, c)
			}
		}
	})
}

func TestGemmPatchesIsTheSameForAnyNumberOfThreads(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(83, 84))
		p := Patches{Channels: 40, Height: 30, Width: 31, KernelH: 3, KernelW: 3, OutH: 30, OutW: 31, StepY: 1, StepX: 1, FirstY: -1, FirstX: -1, TapY: 1, TapX: 1}
		p.Data = fill(Dense(make([]float32, 40*930), 40, 930), uniform(r)).Data
		for _, m := range []int{20, 150} {
			a := fill(Dense(make([]float32, m*p.Rows()), m, p.Rows()), uniform(r))
			at := fill(Dense(make([]float32, m*p.Cols()), m, p.Cols()), uniform(r))
			var first []float32
			withProcs([]int{1, 2, 8}, func(procs int) {
				c, ct := Dense(make([]float32, m*p.Cols()), m, p.Cols()), Dense(make([]float32, m*p.Rows()), m, p.Rows())
				run := func() {
					GemmPatches(1, a, p, 0, c)
					GemmPatchesT(1, at, p, 0, ct)
				}
				if n := testing.AllocsPerRun(3, run); n >= 1 && procs < 3 { // less than one: another thread's first scratch memory
					t.Errorf("%d rows, %d threads: %v allocations", m, procs, n)
				}
				got := slices.Concat(c.Data, ct.Data)
				if first == nil {
					first = got
				}
				if !slices.Equal(got, first) {
					t.Errorf("%d rows: other bits with %d threads", m, procs)
				}
			})
		}
	})
}

// Every width of panel is packed alike, also that of levels this machine does not have: AVX2 gathers for AVX-512 too. What lies beside the
// columns that exist is 0.
func TestPatchesArePackedByRows(t *testing.T) {
	gathers := slices.Contains(machineLevels(), avx2)
	r := rand.New(rand.NewPCG(89, 90))
	var w patchScratch
	for range 400 {
		p := randomPatches(r, 1+r.IntN(4))
		m := p.matrix()
		for i := range kernelSets {
			ks := &kernelSets[i]
			if ks.gathers && !gathers {
				continue
			}
			p0, j0 := r.IntN(m.Rows), r.IntN(m.Cols)
			rows, cols := 1+r.IntN(m.Rows-p0), min(1+r.IntN(ks.nr), m.Cols-j0)
			panel := fill(Dense(make([]float32, rows*ks.nr), rows, ks.nr), func() float32 { return float32(math.NaN()) })
			p.pack(ks, &w, panel.Data, p0, j0, j0+cols)
			for q := range rows {
				for l := range ks.nr {
					want := float32(0)
					if l < cols {
						want = *m.at(p0+q, j0+l)
					}
					if got := *panel.at(q, l); got != want {
						t.Fatalf("%v, panel of %d columns: element (%d,%d) is %v, want %v", ks.level, cols, q, l, got, want)
					}
				}
			}
		}
	}
}

func TestGemmPatchesStaysInsideTheImage(t *testing.T) {
	eachLevel(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(85, 86))
		for range 300 {
			p := randomPatches(r, 1+r.IntN(3))
			around := slices.Repeat([]float32{float32(math.NaN())}, len(p.Data)+2*4096)
			copy(around[4096:], p.Data)
			inside := p
			inside.Data = around[4096 : 4096+len(p.Data)]
			a := fill(Dense(make([]float32, 7*p.Rows()), 7, p.Rows()), uniform(r))
			got, want := Dense(make([]float32, 7*p.Cols()), 7, p.Cols()), Dense(make([]float32, 7*p.Cols()), 7, p.Cols())
			GemmPatches(1, a, inside, 0, got)
			GemmPatches(1, a, p, 0, want)
			if !slices.Equal(got.Data, want.Data) {
				t.Fatalf("pixels outside of the image of %+v count", p)
			}
		}
	})
}

func TestGemmPatchesRejectsBadOperands(t *testing.T) {
	p := Patches{Data: make([]float32, 12), Channels: 1, Height: 3, Width: 4, KernelH: 1, KernelW: 1, OutH: 3, OutW: 4, StepY: 1, StepX: 1}
	short, still := p, p
	short.Data, still.StepX = p.Data[:11], 0
	a, c := Dense(make([]float32, 2), 2, 1), Dense(make([]float32, 24), 2, 12)
	for name, f := range map[string]func(){
		"sizes":   func() { GemmPatchesT(1, a, p, 0, c) },
		"data":    func() { GemmPatches(1, a, short, 0, c) },
		"step":    func() { GemmPatches(1, a, still, 0, c) },
		"columns": func() { GemmPatches(1, a, p, 0, Mat{c.Data, 2, 12, 1, 2}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

func BenchmarkGemmPatches(b *testing.B) {
	for _, s := range []struct{ channels, size, out, kernel, step int }{
		{64, 56, 64, 3, 1}, {320, 64, 320, 3, 1}, {640, 32, 640, 3, 1}, {1280, 16, 1280, 3, 1}, {320, 64, 320, 3, 2}, {128, 128, 128, 3, 1}, {320, 32, 320, 1, 1},
	} {
		p := Patches{Channels: s.channels, Height: s.size, Width: s.size, KernelH: s.kernel, KernelW: s.kernel, OutH: s.size / s.step, OutW: s.size / s.step,
			StepY: s.step, StepX: s.step, FirstY: -(s.kernel / 2), FirstX: -(s.kernel / 2), TapY: 1, TapX: 1}
		r := rand.New(rand.NewPCG(87, 88))
		p.Data = fill(Dense(make([]float32, s.channels*s.size*s.size), s.channels, s.size*s.size), uniform(r)).Data
		matrix := func(rows, cols int) Mat { return fill(Dense(make([]float32, rows*cols), rows, cols), uniform(r)) }
		w, y := matrix(s.out, p.Rows()), matrix(s.out, p.Cols())
		col := p.matrix()
		for name, f := range map[string]func(){
			"forward": func() { GemmPatches(1, w, p, 0, y) },
			"weights": func() { GemmPatchesT(1, y, p, 0, w) },
			"matrix":  func() { Gemm(1, w, col, 0, y) },
		} {
			b.Run(fmt.Sprintf("%dx%dx%d-%d-k%ds%d/%s", s.channels, s.size, s.size, s.out, s.kernel, s.step, name), func(b *testing.B) {
				for b.Loop() {
					f()
				}
				b.ReportMetric(2*float64(s.out*p.Rows()*p.Cols())*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			})
		}
	}
}
