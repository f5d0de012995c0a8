// Command gocode extracts training data from Go source: whole files for pretraining, and doc comment → declaration pairs. It made
// the data of the bundled quickstart:
//
//	go run ./cmd/gocode -o runs/gocode
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/geotune/geotune/train/text/gocode"
)

func main() {
	root := flag.String("root", filepath.Join(runtime.GOROOT(), "src"), "source `tree` to read")
	out := flag.String("o", "runs/gocode", "output `directory`")
	holdOut := flag.Int("holdout", 12, "hold out one package in `N`")
	opt := gocode.Options{}
	flag.IntVar(&opt.MaxFile, "max-file", 200_000, "skip files over `N` bytes")
	flag.IntVar(&opt.MaxDoc, "max-doc", 240, "skip pairs with a longer comment")
	flag.IntVar(&opt.MaxDecl, "max-decl", 120, "skip pairs with a longer declaration")
	flag.Parse()
	if err := run(*root, *out, *holdOut, opt); err != nil {
		fmt.Fprintln(os.Stderr, "gocode:", err)
		os.Exit(1)
	}
}

func run(root, out string, holdOut int, opt gocode.Options) error {
	if holdOut < 2 {
		return fmt.Errorf("-holdout %d: expected at least 2", holdOut)
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	counts, err := gocode.Write(os.DirFS(root), out, holdOut, opt)
	if err != nil {
		return err
	}
	for _, name := range []string{gocode.SourceTrain, gocode.SourceHeldOut, gocode.PairsTrain, gocode.PairsHeldOut} {
		fmt.Printf("%7d records  %s\n", counts[name], filepath.Join(out, name))
	}
	return nil
}
