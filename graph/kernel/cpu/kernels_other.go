//go:build !amd64 && !arm64

package cpu

func (ks *kernels) run(_ family, t *tile, rows int) { tileGeneric(t, rows) }

// The one set of kernels of these platforms, the generic one, asks for none of the following; see kernelSets.

func runDots(*tile, int, int) {}

func runRows(*tile, int) {}

func (ks *kernels) copyPanels(int, *float32, int, int, *float32, int, int, int, int, int) {}

func (ks *kernels) packLines(*float32, int, *[16]*float32, int) {}

func (ks *kernels) packPatches(_, _ *float32, _ int, _ *patchRun, _, _, _, _ int) {}

func (f Activation) call(level, activationForm, *activationCall) {}
