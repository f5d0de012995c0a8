//go:build !amd64 && !arm64

package cpu

func (ks *kernels) run(_ family, t *tile, rows int) { tileGeneric(t, rows) }

func runDots(*tile, int, int) { panic("cpu: no kernel for inner products") }

func runRows(*tile, int) { panic("cpu: no kernel for sums of rows") }

func (ks *kernels) copyPanels(int, *float32, int, int, *float32, int, int, int, int, int) bool {
	return false
}

func (ks *kernels) packLines(*float32, int, *[16]*float32, int) bool { return false }

func (ks *kernels) packPatches(_, _ *float32, _ int, _ *patchRun, _, _, _, _ int) bool { return false }
