package cpu

import "unsafe"

//go:generate go run -C internal/asmgen . -dir ../..

// tile is the argument of a micro-kernel, which computes c = alpha*a*b + beta*d for a few rows and columns; d is c in most products, and
// always in those kernels that read few rows. Strides are in bytes. b, c and d have consecutive columns. The assembly knows the offsets of
// the fields.
type tile struct {
	k           int
	a, b, c, d  unsafe.Pointer
	rsa, csa    int // strides between rows and columns of a
	ldb, ldc    int // strides between rows of b and c
	ldd         int // stride between rows of d, 0 if they are all the same
	cols        int // columns of b, c and d that exist
	alpha, beta float32
	// address of the first line to prefetch, and by how much it moves on with each row of b; not in narrow tiles, not for NEON
	prefetch, prefetchStep uintptr
}

// prefetchDown asks for the rows of b further down, where b is read in place.
func (t *tile) prefetchDown() {
	t.prefetch, t.prefetchStep = uintptr(t.b)+uintptr(8*t.ldb), uintptr(t.ldb)
}

// family is a group of micro-kernels for one width of the tile and one storage type of b.
type family int

const (
	wideF32   family = iota // up to nr columns
	narrowF32               // up to narrow columns, where a level has such kernels
	wideBF16                // b is a panel of nr columns, padded
	wideF16
)

// kernels describes the micro-kernels of a level and what suits them.
type kernels struct {
	level      level
	mr, nr     int  // rows and columns of the largest tile
	narrow     int  // columns of the narrow tile, 0 for none
	lines      int  // lines that the packers transpose at a time
	column     int  // elements from one column of a panel of a to the next
	masked     bool // b is read only as far as cols
	whole      bool // c is written as far as the tile goes, not only as far as cols
	pairs      bool // panels of bfloat16 hold column j and column j+nr/2 beside each other
	dotTile    int  // rows of the largest kernel of inner products
	rowKernels bool // there are kernels that add up rows of b
	gathers    bool // there are kernels that pack the patches of an image

	blockK     int  // longest block of k
	tiles      int  // most tiles in a block of rows: their panels of a, and two panels of b, stay in the L2 cache
	panels     int  // panels of b that are packed together
	perK       bool // shared copies of b hold one block of k, not all of it
	directCols int  // most columns of a piece of c for which rows of a are read in place
	localRows  int  // most rows of c for which each piece of c packs what it needs of b
	tallCols   int  // most columns of c for which a tall a stored by columns becomes the right operand of the transposed product
	dotRows    int  // most rows for which b stored by columns is read in place
	sumRows    int  // most rows for which b stored by rows is read by whole rows
}

var kernelSets = [...]kernels{
	generic: {
		level: generic, mr: 4, nr: 4, lines: 4, column: 4, masked: true,
		blockK: 512, tiles: 12, panels: 1, localRows: 48, sumRows: 4,
	},
	avx2: {
		level: avx2, mr: 6, nr: 16, narrow: 8, lines: 8, column: 6, masked: true, dotTile: 3, rowKernels: true, gathers: true,
		blockK: 256, tiles: 32, panels: 4, perK: true, localRows: 192, dotRows: 16, sumRows: 8,
	},
	avx512: {
		level: avx512, mr: 14, nr: 32, narrow: 16, lines: 16, column: 16, masked: true, pairs: true, dotTile: 3, rowKernels: true, gathers: true,
		blockK: 1024, tiles: 8, panels: 1, perK: true, directCols: 1024, localRows: 168, tallCols: 32, dotRows: 8, sumRows: 2,
	},
	neon: {
		level: neon, mr: 6, nr: 16, narrow: 8, lines: 8, column: 8, whole: true, dotTile: 2,
		blockK: 512, tiles: 12, panels: 1, localRows: 72, dotRows: 4, sumRows: 1,
	},
}

// family returns the float32 family for a number of columns.
func (ks *kernels) family(cols int) family {
	if cols <= ks.narrow {
		return narrowF32
	}
	return wideF32
}

// fits reports whether the tiles of n columns read nothing beyond them.
func (ks *kernels) fits(n int) bool { return ks.masked || n%ks.nr == 0 || n%ks.nr == ks.narrow }

// overhangs reports whether a tile of a family writes more columns of c than the given number.
func (ks *kernels) overhangs(f family, cols int) bool {
	return ks.whole && cols < ks.nr && !(f == narrowF32 && cols == ks.narrow)
}

func currentKernels() *kernels { return &kernelSets[current.Load()] }

// tileGeneric is the portable micro-kernel, for up to 4x4 elements in float32.
func tileGeneric(t *tile, rows int) {
	var sum [4][4]float32
	var off [4]int // of the rows of a; those beyond the last repeat it
	for i := range off {
		off[i] = min(i, rows-1) * t.rsa
	}
	if t.cols == 4 {
		tileColumns4(t, &sum, off)
	} else {
		for p := range t.k {
			for j := range t.cols {
				y := *(*float32)(unsafe.Add(t.b, p*t.ldb+4*j))
				for i := range rows {
					sum[i][j] += *(*float32)(unsafe.Add(t.a, p*t.csa+off[i])) * y
				}
			}
		}
	}
	for i := range rows {
		for j := range t.cols {
			c := (*float32)(unsafe.Add(t.c, i*t.ldc+4*j))
			if t.beta == 0 {
				*c = t.alpha * sum[i][j]
			} else {
				*c = t.alpha*sum[i][j] + t.beta**(*float32)(unsafe.Add(t.d, i*t.ldd+4*j))
			}
		}
	}
}

// tileColumns4 sums full rows of b, two rows of a at a time so that the sums stay in registers.
func tileColumns4(t *tile, sum *[4][4]float32, off [4]int) {
	for i := 0; i < 4; i += 2 {
		a0, a1 := unsafe.Add(t.a, off[i]), unsafe.Add(t.a, off[i+1])
		var s00, s01, s02, s03, s10, s11, s12, s13 float32
		for p := range t.k {
			x0, x1 := *(*float32)(unsafe.Add(a0, p*t.csa)), *(*float32)(unsafe.Add(a1, p*t.csa))
			y := (*[4]float32)(unsafe.Add(t.b, p*t.ldb))
			s00 += x0 * y[0]
			s01 += x0 * y[1]
			s02 += x0 * y[2]
			s03 += x0 * y[3]
			s10 += x1 * y[0]
			s11 += x1 * y[1]
			s12 += x1 * y[2]
			s13 += x1 * y[3]
		}
		sum[i] = [4]float32{s00, s01, s02, s03}
		sum[i+1] = [4]float32{s10, s11, s12, s13}
	}
}
