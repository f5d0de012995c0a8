package compare

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/geotune/geotune/internal/atomicfile"
	"github.com/geotune/geotune/train"
	"github.com/geotune/geotune/train/run"
)

// Options say how a comparison is carried out.
type Options struct {
	// Rerun removes the folders of runs that were made by another config and does these runs again; without it they are an error.
	Rerun bool
	// Log takes what people read while the comparison goes on; nil discards it. Terminal says that it can redraw a line.
	Log      io.Writer
	Terminal bool
	// Quiet leaves out the progress.
	Quiet bool
}

// interruptedError is train.ErrInterrupted with advice that fits a comparison.
type interruptedError struct {
	left   int
	timing bool // all runs are done
}

func (e interruptedError) Error() string {
	if e.timing {
		return "interrupted while the variants are timed; all runs are done, the same command continues"
	}
	return fmt.Sprintf("interrupted; the runs in progress are saved, %d are left; the same command continues", e.left)
}

func (e interruptedError) Unwrap() error { return train.ErrInterrupted }

// sweep is a comparison in progress.
type sweep struct {
	*queue
	o        Options
	progress *progress

	mu      sync.Mutex // guards what follows and the queue
	changed *sync.Cond // a run has ended
	running int
	data    string // fingerprint of the data
	warned  map[string]bool
	failed  error
}

// Run carries the comparison out, or what is left of it, and returns the results. When finish ends, the runs in progress complete
// their step and save, when stop ends they save at once; the error then is train.ErrInterrupted.
func (p *Plan) Run(finish, stop context.Context, o Options) (*Results, error) {
	if o.Log == nil {
		o.Log = io.Discard
	}
	s := &sweep{queue: newQueue(p), o: o, warned: map[string]bool{}}
	s.changed = sync.NewCond(&s.mu)
	if err := s.recognise(); err != nil {
		return nil, err
	}
	if err := s.begin(); err != nil {
		return nil, err
	}
	shown := o.Log
	if o.Quiet {
		shown = io.Discard
	}
	s.progress = newProgress(shown, o.Terminal, s.left())
	if err := s.trainAll(finish, stop); err != nil {
		return nil, err
	}
	timings, err := s.time(finish)
	if err != nil {
		return nil, err
	}
	return s.results(timings)
}

// recognise takes up the outcomes of finished runs.
func (s *sweep) recognise() error {
	var changed []error
	for v := range s.variants {
		for r := range s.variants[v].rates {
			for seed := range s.seeds {
				err := s.takeUp(job{v, r, seed})
				var other *changedError
				if errors.As(err, &other) {
					changed = append(changed, err)
				} else if err != nil {
					return err
				}
			}
		}
	}
	for v := range s.variants {
		s.decide(v)
	}
	const shown = 3
	if n := len(changed); n > 0 {
		if n > shown {
			changed = append(changed[:shown], fmt.Errorf("and %d more", n-shown))
		}
		return fmt.Errorf("%w\nput the settings back, do these runs again with --rerun, or choose another folder with --set out=DIR", errors.Join(changed...))
	}
	return nil
}

// takeUp looks for the outcome of a run.
func (s *sweep) takeUp(j job) error {
	cfg, err := s.config(j)
	if err != nil {
		return err
	}
	o, err := inspect(cfg)
	var other *changedError
	if s.o.Rerun && errors.As(err, &other) {
		return remove(cfg.Out)
	}
	if err != nil || o == nil {
		return err
	}
	s.outcomes[j] = o
	return s.sameData(j, o.Data)
}

// sameData makes sure that all runs have the same data.
func (s *sweep) sameData(j job, fingerprint string) error {
	if s.data == "" {
		s.data = fingerprint
	}
	if s.data != fingerprint {
		return fmt.Errorf("compare: %s has other data, tokenizer or batch settings than the finished runs in %s; put them back or choose another folder with --set out=DIR",
			s.describe(j), s.cfg.Out)
	}
	return nil
}

// begin makes the folder and writes the resolved config.
func (s *sweep) begin() error {
	if err := os.MkdirAll(s.cfg.Out, 0o777); err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	text, err := s.cfg.YAML()
	if err != nil {
		return err
	}
	return atomicfile.WriteBytes(filepath.Join(s.cfg.Out, "compare.yaml"), text)
}

// trainAll carries out the runs that are left, several side by side. They run in one process: the threads of package graph/kernel/cpu
// work for whichever run has work, so that no core idles while another run does what cannot be split.
func (s *sweep) trainAll(finish, stop context.Context) error {
	finish, cancel := context.WithCancel(finish)
	defer cancel()
	var group sync.WaitGroup
	for range s.parallel() {
		group.Go(func() {
			for {
				j, ok := s.take(finish)
				if !ok {
					return
				}
				o, err := s.train(finish, stop, j)
				s.ended(j, o, err, cancel)
			}
		})
	}
	group.Wait()
	s.progress.close()
	if s.failed != nil {
		return s.failed
	}
	if left := s.left(); left > 0 {
		return interruptedError{left: left}
	}
	return nil
}

// take waits for a run that can be started; ok is false when none will come.
func (s *sweep) take(finish context.Context) (j job, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for finish.Err() == nil {
		if j, ok := s.next(); ok {
			s.running++
			s.progress.started(s.describe(j))
			return j, true
		}
		if s.running == 0 {
			break
		}
		s.changed.Wait()
	}
	return job{}, false
}

// ended takes up the outcome of a run. A failure ends the other runs.
func (s *sweep) ended(j job, o *Outcome, err error, cancel func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
	switch {
	case err == nil:
		s.outcomes[j] = o
	case errors.Is(err, train.ErrInterrupted):
		o = nil
	default:
		o = nil
		s.failed = errors.Join(s.failed, fmt.Errorf("%s: %w", s.describe(j), err))
		cancel()
	}
	for v := range s.variants {
		s.decide(v)
	}
	s.progress.ended(s.describe(j), o, s.left())
	s.changed.Broadcast()
}

// train carries out or continues a run.
func (s *sweep) train(finish, stop context.Context, j job) (o *Outcome, err error) {
	cfg, err := s.config(j)
	if err != nil {
		return nil, err
	}
	name := s.describe(j)
	var steps int
	r, err := run.Open(cfg, run.Options{
		Resume: true, Observe: func(m train.StepMetrics) { s.progress.step(name, m, steps) },
		Log: warnings(func(text string) { s.warn(j, text) }), Quiet: true,
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	facts := r.Facts()
	steps = facts.Steps
	s.mu.Lock()
	err = s.sameData(j, facts.Fingerprint)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	err = r.Train(finish, stop)
	var diverged *train.DivergedError
	if err != nil && !errors.As(err, &diverged) {
		return nil, err
	}
	o, err = collect(Outcome{Variant: s.variants[j.variant].Name, LR: s.lr(j), Seed: s.seeds[j.seed]}, cfg, facts, diverged)
	if err != nil {
		return nil, err
	}
	return o, o.save(cfg.Out)
}

// warnings passes on the warnings among the lines that a run logs.
type warnings func(text string)

func (f warnings) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		if text, ok := strings.CutPrefix(line, "warning: "); ok {
			f(strings.TrimSpace(text))
		}
	}
	return len(p), nil
}

// warn shows what a run warns of, once for all seeds.
func (s *sweep) warn(j job, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := fmt.Sprintf("%s lr %s", s.variants[j.variant].Name, rateText(s.lr(j)))
	if key := name + text; !s.warned[key] {
		s.warned[key] = true
		if s.o.Quiet {
			fmt.Fprintf(s.o.Log, "warning: %s: %s\n", name, text)
			return
		}
		s.progress.note("warning: %s: %s", name, text)
	}
}
