package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// output is a buffer that several goroutines may write to.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func newApp(stdout, stderr io.Writer) *app {
	return &app{stdin: strings.NewReader(""), stdout: stdout, stderr: stderr, interrupts: make(chan os.Signal, 3), kill: func(int) {}}
}

// TestAnInterruptSavesAndResumeContinuesBitForBit interrupts a long run, which then is continued to a length that an uninterrupted
// run has too.
func TestAnInterruptSavesAndResumeContinuesBitForBit(t *testing.T) {
	workspace(t)
	var stdout, stderr output
	a := newApp(&stdout, &stderr)
	a.interrupts <- os.Interrupt
	args := []string{"train", "-c", "run.yaml", "--set", "schedule.name=constant", "--set", "train.eval_every=0"}
	if code := a.run(append(args, "--set", "train.steps=1000000000")); code != exitInterrupted {
		t.Fatalf("exit code %d:\n%s", code, stderr.String())
	}
	if text := stderr.String(); !strings.Contains(text, "finishing the step, then saving") || !strings.Contains(text, "--resume") {
		t.Errorf("stderr:\n%s", text)
	}
	steps, err := filepath.Glob("runs/run/checkpoints/step-*")
	if err != nil || len(steps) == 0 {
		t.Fatalf("no checkpoint, %v", err)
	}
	target := twoMore(t, steps)
	for _, more := range [][]string{{"--resume"}, {"--set", "out=whole"}} {
		a := newApp(&stdout, &stderr)
		if code := a.run(append(append(args, "--set", "train.steps="+target), more...)); code != exitOK {
			t.Fatalf("exit code %d:\n%s", code, stderr.String())
		}
	}
	resumed, err1 := os.ReadFile("runs/run/adapter/adapter_model.safetensors")
	whole, err2 := os.ReadFile("whole/adapter/adapter_model.safetensors")
	if err1 != nil || err2 != nil || !bytes.Equal(resumed, whole) {
		t.Errorf("the resumed run's adapter differs from an uninterrupted one's, %v, %v", err1, err2)
	}
}

// twoMore returns the step two after that of the newest checkpoint.
func twoMore(t *testing.T, paths []string) string {
	t.Helper()
	most := 0
	for _, p := range paths {
		n, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(p), "step-"))
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, n)
	}
	return strconv.Itoa(most + 2)
}

func TestAnInterruptedComparisonExitsAfterSaving(t *testing.T) {
	workspace(t)
	var stdout, stderr output
	a := newApp(&stdout, &stderr)
	a.interrupts <- os.Interrupt
	args := []string{"compare", "-c", "compare.yaml", "--set", "set.schedule.name=constant", "--set", "set.train.steps=1000000"}
	if code := a.run(args); code != exitInterrupted {
		t.Fatalf("exit code %d:\n%s", code, stderr.String())
	}
	if text := stderr.String(); !strings.Contains(text, "finishing the steps in progress") || !strings.Contains(text, "the same command continues") || stdout.String() != "" {
		t.Errorf("stderr:\n%s\nstdout:\n%s", text, stdout.String())
	}
}

func TestAnInterruptEndsAGeneration(t *testing.T) {
	workspace(t)
	var stdout, stderr output
	a := newApp(&stdout, &stderr)
	a.stdout = interrupting{&stdout, func() {
		select {
		case a.interrupts <- os.Interrupt:
		default:
		}
	}}
	args := []string{"generate", "--model", "model", "--prompt", "func", "--max-tokens", "0", "--temperature", "1"}
	for code := exitOK; code != exitInterrupted; { // a short text may be complete before the interrupt is seen
		if code = a.run(args); code == exitFailed {
			t.Fatal(stderr.String())
		}
	}
	if text := stderr.String(); text != "interrupted\n" {
		t.Errorf("stderr %q", text)
	}
	if text := stdout.String(); !strings.HasSuffix(text, "\n") {
		t.Errorf("the line %q is not ended", text)
	}
}

// interrupting calls do at each write.
type interrupting struct {
	io.Writer
	do func()
}

func (w interrupting) Write(p []byte) (int, error) {
	w.do()
	return w.Writer.Write(p)
}

func TestInterruptsEndOneThingAfterTheOther(t *testing.T) {
	var stderr output
	a := newApp(io.Discard, &stderr)
	killed := make(chan int)
	a.kill = func(code int) { killed <- code }
	finish, stop, done := a.watch("first", "second")
	defer done()
	a.interrupts <- os.Interrupt
	<-finish.Done()
	if stop.Err() != nil {
		t.Error("the first interrupt stopped at once")
	}
	a.interrupts <- os.Interrupt
	<-stop.Done()
	a.interrupts <- os.Interrupt
	if code := <-killed; code != exitInterrupted {
		t.Errorf("killed with code %d", code)
	}
	if got := stderr.String(); got != "\nfirst\n\nsecond\n" {
		t.Errorf("messages %q", got)
	}
}

// eachCommand calls do for every command of the program's own that has none below it.
func eachCommand(t *testing.T, do func(*cobra.Command)) {
	t.Helper()
	n := 0
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		switch {
		case c.HasSubCommands():
			for _, sub := range c.Commands() {
				walk(sub)
			}
		case c.Runnable():
			n++
			do(c)
		}
	}
	walk(newApp(io.Discard, io.Discard).root())
	if n < 10 {
		t.Errorf("only %d commands", n)
	}
}

func TestHelpShowsExamplesFirstAndEveryFlag(t *testing.T) {
	eachCommand(t, func(c *cobra.Command) {
		var out bytes.Buffer
		if code := run(append(strings.Fields(c.CommandPath())[1:], "--help"), nil, &out, io.Discard); code != exitOK {
			t.Errorf("%s --help: exit code %d", c.CommandPath(), code)
		}
		text := out.String()
		examples, usage, flags := strings.Index(text, "Examples:"), strings.Index(text, "Usage:"), strings.Index(text, "Flags:")
		if examples < 0 || usage < examples || flags < usage {
			t.Errorf("%s: examples at %d, usage at %d, flags at %d:\n%s", c.Name(), examples, usage, flags, text)
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if !strings.Contains(text, "--"+f.Name) || f.Usage == "" {
				t.Errorf("%s: help does not explain --%s", c.Name(), f.Name)
			}
		})
	})
}

// TestExamplesUseFlagsThatExist checks that the flags in examples and usage lines exist.
func TestExamplesUseFlagsThatExist(t *testing.T) {
	long := regexp.MustCompile(`--([a-z][a-z-]*)`)
	eachCommand(t, func(c *cobra.Command) {
		for _, line := range strings.Split(c.Example+"\n"+c.Parent().CommandPath()+" "+c.Use, "\n") {
			if !strings.Contains(line, c.CommandPath()+" ") { // of another command, as what to do next
				continue
			}
			for _, m := range long.FindAllStringSubmatch(line, -1) {
				if c.Flags().Lookup(m[1]) == nil {
					t.Errorf("%s: no flag --%s, which %q uses", c.Name(), m[1], line)
				}
			}
		}
	})
}

func TestErrorsHaveNoColourOutsideOfTerminals(t *testing.T) {
	var stderr bytes.Buffer
	if code := run([]string{"inspect", "nowhere"}, nil, io.Discard, &stderr); code != exitFailed || strings.Contains(stderr.String(), "\x1b") {
		t.Errorf("exit code %d, stderr %q", code, stderr.String())
	}
}
