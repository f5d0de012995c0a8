package bench

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// WriteText writes the result for people.
func (r *StepResult) WriteText(w io.Writer) error {
	s := r.Shape
	fmt.Fprintf(w, "%s: %d layers of %d, %d heads of which %d for keys, MLP %d, vocabulary %d; %d rows of %d tokens\n",
		r.Preset, s.Layers, s.Hidden, s.Heads, s.KVHeads, s.Inter, s.Vocab, s.Batch, s.Seq)
	fmt.Fprintf(w, "%s, %s, weights %s: %d parameters, %d trained, optimizer state %.1f MiB; loss %.4f to %.4f\n",
		r.adapter(), r.Optimizer, r.DType, r.Params, r.Trained, float64(r.StateBytes)/(1<<20), r.LossFirst, r.LossLast)
	fmt.Fprintf(w, "%d threads, %v\n\n", r.Threads, r.Machine)
	fmt.Fprintf(w, "step     %.1f ms median, %.1f to %.1f over %d; %.1f tokens/s\n", r.Step.Median, r.Step.Min, r.Step.Max, r.Step.N, r.TokensPerS)
	fmt.Fprintf(w, "rate     %.1f GFLOP/s, best %.1f, for %.3f GFLOP a step; %.1f %% of the peak of %.1f\n",
		r.GFLOPS, r.GFLOPSBest, r.GFLOPStep, 100*r.ShareOfPeak, r.PeakGFLOPS)
	fmt.Fprintf(w, "memory   %.1f MiB at most\n", r.PeakRSS)
	if r.Others != nil {
		fmt.Fprintf(w, "others   %.2f cores busy with other programs\n", *r.Others)
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "ms a step\tforward\tbackward\tshare\t\n")
	for _, k := range r.ByKernel {
		fmt.Fprintf(t, "%s\t%.2f\t%.2f\t%.1f %%\t\n", k.Kind, k.Forward, k.Backward, 100*k.Share)
	}
	fmt.Fprintf(t, "all kernels\t%.2f\t%.2f\t%.1f %%\t\n", r.Forward, r.Backward, 100*(r.Forward+r.Backward)/r.Step.Median)
	fmt.Fprintf(t, "optimizer\t\t%.2f\t%.1f %%\t\n", r.OptimizerMS, 100*r.OptimizerShare)
	fmt.Fprintf(t, "other\t\t%.2f\t%.1f %%\t\n", r.Other, 100*r.Other/r.Step.Median)
	return t.Flush()
}

func (r *StepResult) adapter() string {
	if r.Shape.Rank > 0 {
		return fmt.Sprintf("%s of rank %d", r.Adapter, r.Shape.Rank)
	}
	return r.Adapter
}
