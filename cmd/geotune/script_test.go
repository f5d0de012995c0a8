package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/geotune/geotune/configs"
	"github.com/geotune/geotune/internal/safetensors"
	"github.com/geotune/geotune/layers/transformer"
)

// tinyConfig is a model with the vocabulary of the bundled tokenizer.
const tinyConfig = `{"model_type": "llama", "vocab_size": 4096, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
	"num_attention_heads": 2, "max_position_embeddings": 64, "tie_word_embeddings": true, "initializer_range": 0.2, "eos_token_id": 0}`

// TestScripts runs testdata/scripts/*.txt. Each script has a folder of its own with a model, data and configs (see workspace). Its
// lines are
//
//	$ geotune ARGS...     runs the program; arguments may be in single quotes
//	stdin TEXT            input of the next run, \n for a line end
//	exit N                the code that the last run gave, 0 where this line is missing
//	stdout PATTERN        a regular expression that the output of the last run matches; also stderr, and !stdout, !stderr for none
//	exists PATH, absent PATH
//	same PATH PATH        two files have the same bytes
//
// and comments that begin with #.
func TestScripts(t *testing.T) {
	scripts, err := filepath.Glob(filepath.Join("testdata", "scripts", "*.txt"))
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, path := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			workspace(t)
			s := &script{t: t}
			for i, line := range strings.Split(string(text), "\n") {
				s.at = fmt.Sprintf("%s:%d", filepath.Base(path), i+1)
				s.line(strings.TrimSpace(line))
			}
			s.finish()
		})
	}
}

// workspace changes to a fresh folder with a copy of testdata/files, a tiny model/ with the bundled tokenizer, and batch.safetensors.
func workspace(t *testing.T) {
	t.Helper()
	files, err := filepath.Abs(filepath.Join("testdata", "files"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", filepath.Join(dir, "cache"))
	t.Chdir(dir)
	if err := os.CopyFS(dir, os.DirFS(files)); err != nil {
		t.Fatal(err)
	}
	c, err := transformer.ParseConfig("config.json", []byte(tinyConfig))
	if err != nil {
		t.Fatal(err)
	}
	m, err := transformer.Random(c, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Save("model"); err != nil {
		t.Fatal(err)
	}
	ids := []int64{5, 6, 7, 8, 9, 10}
	batch := []safetensors.Tensor{safetensors.Integers("input_ids", []int{2, 3}, ids), safetensors.Integers("labels", []int{2, 3}, ids)}
	if err := safetensors.Write("batch.safetensors", batch, nil); err != nil {
		t.Fatal(err)
	}
	copyTokenizer(t)
}

// copyTokenizer puts the bundled tokenizer beside the model's weights.
func copyTokenizer(t *testing.T) {
	t.Helper()
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json"} {
		path, err := configs.Resolve("builtin:quickstart/model/" + name)
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join("model", name), data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// script is a running script.
type script struct {
	t              *testing.T
	at             string
	stdin          string
	command        string
	code, expected int
	stdout, stderr bytes.Buffer
}

func (s *script) errorf(format string, args ...any) {
	s.t.Helper()
	s.t.Errorf("%s: %s\n$ %s\nexit %d\nstdout:\n%s\nstderr:\n%s", s.at, fmt.Sprintf(format, args...), s.command, s.code, s.stdout.String(), s.stderr.String())
}

func (s *script) line(line string) {
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "", "#":
	case "$":
		s.finish()
		s.run(rest)
	case "stdin":
		s.stdin = strings.ReplaceAll(rest, `\n`, "\n")
	case "exit":
		if _, err := fmt.Sscan(rest, &s.expected); err != nil {
			s.errorf("%v", err)
		}
	case "stdout", "!stdout":
		s.match(rest, s.stdout.String(), verb == "stdout")
	case "stderr", "!stderr":
		s.match(rest, s.stderr.String(), verb == "stderr")
	case "exists", "absent":
		if _, err := os.Stat(rest); (err == nil) != (verb == "exists") {
			s.errorf("%s: %v", rest, err)
		}
	case "same":
		s.same(strings.Fields(rest))
	default:
		s.errorf("unknown line %q", line)
	}
}

func (s *script) run(command string) {
	s.command, s.expected = command, 0
	s.stdout.Reset()
	s.stderr.Reset()
	args := arguments(command)
	if len(args) == 0 || args[0] != "geotune" {
		s.errorf("expected a geotune command")
		return
	}
	s.code = run(args[1:], strings.NewReader(s.stdin), &s.stdout, &s.stderr)
	s.stdin = ""
}

// finish compares the exit code of the last run with the one that its lines expect.
func (s *script) finish() {
	if s.code != s.expected {
		s.errorf("exit code %d, expected %d", s.code, s.expected)
	}
}

func (s *script) match(pattern, text string, want bool) {
	re, err := regexp.Compile("(?m)" + pattern)
	if err != nil {
		s.errorf("%v", err)
	} else if re.MatchString(text) != want {
		s.errorf("pattern %q: expected match %v", pattern, want)
	}
}

func (s *script) same(paths []string) {
	var contents [2][]byte
	for i := range contents {
		data, err := os.ReadFile(paths[i])
		if err != nil {
			s.errorf("%v", err)
			return
		}
		contents[i] = data
	}
	if !bytes.Equal(contents[0], contents[1]) {
		s.errorf("%s and %s differ", paths[0], paths[1])
	}
}

// arguments splits a line at spaces outside of single quotes.
func arguments(line string) []string {
	var args []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			args = append(args, part)
			continue
		}
		args = append(args, strings.Fields(part)...)
	}
	return args
}
