package run_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/geotune/geotune/train/run"
)

// The environment by which the test starts itself as a process that carries out one run.
const (
	childModel = "GEOTUNE_TEST_RUN_MODEL"
	childOut   = "GEOTUNE_TEST_RUN_OUT"
)

// TestKilledRunProcess is the process that TestKillAndResumeGivesTheSameBytes kills.
func TestKilledRunProcess(t *testing.T) {
	model, out := os.Getenv(childModel), os.Getenv(childOut)
	if model == "" {
		return // only meaningful as a child
	}
	cfg := fromGradient.config(t, model, out, "train.save_every=1", "train.steps=12")
	if err := carryOut(t, cfg, run.Options{Resume: true}, context.Background()); err != nil {
		t.Fatal(err)
	}
}

// TestKillAndResumeGivesTheSameBytes kills a run again and again at random moments, in the middle of a save as well as of a step, until
// it has got to its end, on one and on two threads.
func TestKillAndResumeGivesTheSameBytes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("processes cannot be killed without notice here")
	}
	model := tinyModel(t)
	whole := filepath.Join(t.TempDir(), "whole")
	cfg := fromGradient.config(t, model, whole, "train.save_every=1", "train.steps=12")
	if err := carryOut(t, cfg, run.Options{}, context.Background()); err != nil {
		t.Fatal(err)
	}
	want := result(t, whole)
	rng := rand.New(rand.NewPCG(1, 2))
	for _, threads := range []int{1, 2} {
		out := filepath.Join(t.TempDir(), "killed")
		kills := 0
		for !killed(t, model, out, threads, time.Duration(80+rng.IntN(250))*time.Millisecond) {
			if kills++; kills == 8 { // enough; let it finish
				if !killed(t, model, out, threads, time.Hour) {
					t.Fatal("the run was killed after an hour")
				}
				break
			}
		}
		if !bytes.Equal(result(t, out), want) {
			t.Errorf("GOMAXPROCS=%d, killed %d times: the adapter differs from that of the uninterrupted run", threads, kills)
		}
	}
}

// killed starts or resumes the run and kills it after a while; it reports whether the run had come to its end before.
func killed(t *testing.T, model, out string, threads int, after time.Duration) (finished bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), after)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestKilledRunProcess$")
	cmd.Env = append(os.Environ(), childModel+"="+model, childOut+"="+out, fmt.Sprint("GOMAXPROCS=", threads))
	output, err := cmd.CombinedOutput()
	if err != nil && ctx.Err() == nil {
		t.Fatalf("the run failed: %v\n%s", err, output)
	}
	return err == nil
}
