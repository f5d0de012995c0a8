package cpu

import "unsafe"

// inPlace reports whether the kernels can read and write a, b and c where they are, in one block of k, and there is nothing else.
func (g *product) inPlace() bool {
	return g.directA && g.modeB == directB && g.c.CS == 1 && g.kc == g.k && g.bias == nil
}

// inPlaceItems computes the products [lo, hi) of a batch in place. It is the short way for small products.
func (g *product) inPlaceItems(s *scratch, lo, hi, sa, sb, sc int) {
	ks, t := g.ks, &s.tile
	t.k, t.alpha, t.beta = g.k, g.alpha, g.beta
	t.rsa, t.csa, t.ldb, t.ldc, t.ldd = 4*g.a.RS, 4*g.a.CS, 4*g.b.RS, 4*g.c.RS, 4*g.c.RS
	var ahead nextItem
	long := g.m*g.n*g.k >= longItem
	if long {
		ahead = g.nextItem(sa, sb, sc)
	}
	for item := lo; item < hi; item++ {
		a, b, c := g.a.Data[item*sa:], g.b.Data[item*sb:], g.c.Data[item*sc:]
		if long {
			ahead.follow(a, b, c)
		}
		for j := 0; j < g.n; j += ks.nr {
			t.cols, t.b = min(ks.nr, g.n-j), unsafe.Pointer(&b[j])
			t.prefetchDown()
			f := ks.family(t.cols)
			for i := 0; i < g.m; i += g.mr {
				t.a, t.c = unsafe.Pointer(&a[i*g.a.RS]), unsafe.Pointer(&c[i*g.c.RS+j])
				t.d = t.c
				if long {
					ahead.ask(t)
				}
				ks.run(f, t, min(g.mr, g.m-i))
			}
		}
	}
	t.a, t.b, t.c, t.d = nil, nil, nil, nil
}

// longItem is how many multiply-adds of a small product leave time to ask for the operands of the next one.
const longItem = 1 << 14

// nextItem is what the tiles of a small product ask for in turn: b, a and c of the product after it.
type nextItem struct {
	size    [3]int // elements of each operand, 0 for those that are the same for all products or lie in pieces
	at, end [3]uintptr
	step    uintptr // bytes that a tile asks for with each row of b
}

// nextItem prepares to ask for operands with the given strides. The requests are spread over all tiles, because loads that miss the L1
// cache wait behind too many of them.
func (g *product) nextItem(sa, sb, sc int) (n nextItem) {
	total := 0
	for i, o := range [...]struct{ size, stride int }{{g.k * g.n, sb}, {g.m * g.k, sa}, {g.m * g.n, sc}} {
		if o.stride == o.size {
			n.size[i] = o.size
			total += o.size
		}
	}
	steps := ((g.m + g.mr - 1) / g.mr) * ((g.n + g.ks.nr - 1) / g.ks.nr) * g.k
	n.step = uintptr(min(4*g.ks.nr, roundUp(4*total/steps+1, 16)))
	return n
}

// follow goes on to the product after that of a, b and c.
func (n *nextItem) follow(a, b, c []float32) {
	for i, data := range [...][]float32{b, a, c} {
		if size := n.size[i]; size > 0 && len(data) > size {
			n.at[i] = uintptr(unsafe.Pointer(&data[size]))
			n.end[i] = n.at[i] + uintptr(4*size)
		}
	}
}

// ask lets a tile ask for the next piece, if there is one.
func (n *nextItem) ask(t *tile) {
	for i := range n.at {
		if n.at[i] < n.end[i] {
			t.prefetch, t.prefetchStep = n.at[i], n.step
			n.at[i] += uintptr(t.k) * n.step
			return
		}
	}
}
