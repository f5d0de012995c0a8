package gocode

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"

	"path/filepath"

	"github.com/geotune/geotune/internal/atomicfile"
)

// The files that Write makes.
const (
	SourceTrain   = "source-train.jsonl"   // {"text": file} for language modelling
	SourceHeldOut = "source-heldout.jsonl" // the same, of held-out packages
	PairsTrain    = "pairs-train.jsonl"    // {"prompt": doc, "completion": declaration}
	PairsHeldOut  = "pairs-heldout.jsonl"
)

// Prompt renders the prompt of a pair; Completion what has to follow it.
func (p Pair) Prompt() string { return "### Doc\n" + p.Doc + "\n### Go\n" }

// Completion renders the declaration.
func (p Pair) Completion() string { return p.Decl }

// Counts tells how many records each file got.
type Counts map[string]int

// Write extracts the data sets from root into dir. One package in every holdOut goes to the held-out files.
func Write(root fs.FS, dir string, holdOut int, opt Options) (Counts, error) {
	files, err := Files(root, opt)
	if err != nil {
		return nil, err
	}
	records := map[string][]any{}
	seen := map[Pair]bool{}
	for _, f := range files {
		source, pairs := SourceTrain, PairsTrain
		if HeldOut(f.Package, holdOut) {
			source, pairs = SourceHeldOut, PairsHeldOut
		}
		records[source] = append(records[source], map[string]string{"text": f.Text})
		for _, p := range Pairs(f, opt) {
			key := Pair{Doc: p.Doc, Decl: p.Decl}
			if seen[key] {
				continue
			}
			seen[key] = true
			records[pairs] = append(records[pairs], map[string]string{"prompt": p.Prompt(), "completion": p.Completion()})
		}
	}
	counts := Counts{}
	for _, name := range []string{SourceTrain, SourceHeldOut, PairsTrain, PairsHeldOut} {
		counts[name] = len(records[name])
		err := atomicfile.WriteFile(filepath.Join(dir, name), func(w io.Writer) error { return writeLines(w, records[name]) })
		if err != nil {
			return nil, fmt.Errorf("gocode: %w", err)
		}
	}
	return counts, nil
}

func writeLines(w io.Writer, records []any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	for _, r := range records {
		if err := e.Encode(r); err != nil {
			return err
		}
	}
	return nil
}
