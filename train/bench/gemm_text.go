package bench

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// WriteText writes the rates for people.
func (r *GemmResult) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "%v; GFLOP/s by the median time (best), share of the peak; packed: the right operand was packed before\n", r.Machine)
	for _, run := range r.Runs {
		fmt.Fprintf(w, "\n%d threads, peak %.1f GFLOP/s%s\n", run.Threads, run.PeakGFLOPS, run.others())
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintf(t, "product\tbatch\tm\tk\tn\t\tGFLOP/s\tpeak\tpacked\tbfloat16\tgonum\n")
		for _, c := range run.Cases {
			fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%s\t%.1f (%.1f)\t%.0f %%\t%s\t%s\t%s\n", c.Kind, c.Batch, c.M, c.K, c.N, c.Layout,
				c.GFLOPS, c.GFLOPSBest, 100*c.ShareOfPeak, c.Packed, c.PackedBF16, c.vsGonum())
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	return nil
}

// String returns the rate, empty where none was measured.
func (r *Rate) String() string {
	if r == nil {
		return ""
	}
	return fmt.Sprintf("%.1f (%.1f)", r.GFLOPS, r.GFLOPSBest)
}

func (c *GemmCase) vsGonum() string {
	if c.Gonum == nil {
		return ""
	}
	return fmt.Sprintf("%.1f×", c.VsGonum)
}

func (r *GemmRun) others() string {
	if r.Others == nil {
		return ""
	}
	return fmt.Sprintf("; %.2f cores busy with other programs", *r.Others)
}
