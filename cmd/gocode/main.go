// Command gocode extracts training data from Go source: whole files for pretraining, and doc comment → declaration pairs. With
// -vocab it also trains a vocabulary on the files that are not held out. It made the data of the bundled quickstart:
//
//	go run ./cmd/gocode -o runs/gocode -vocab 4096
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/geotune/geotune/train/text/gocode"
)

func main() {
	root := flag.String("root", "", "source `tree` to read; default: that of the installed Go")
	out := flag.String("o", "runs/gocode", "output `directory`")
	holdOut := flag.Int("holdout", 12, "hold out one package in `N`")
	opt := gocode.Options{}
	flag.IntVar(&opt.MaxFile, "max-file", 200_000, "skip files over `N` bytes")
	flag.IntVar(&opt.MaxDoc, "max-doc", 240, "skip pairs with a longer comment")
	flag.IntVar(&opt.MaxDecl, "max-decl", 120, "skip pairs with a longer declaration")
	vocab := flag.Int("vocab", 0, "train a vocabulary of `N` tokens; 0 = none")
	flag.Parse()
	if err := run(*root, *out, *holdOut, *vocab, opt); err != nil {
		fmt.Fprintln(os.Stderr, "gocode:", err)
		os.Exit(1)
	}
}

func run(root, out string, holdOut, vocab int, opt gocode.Options) error {
	if root == "" {
		goroot, err := exec.Command("go", "env", "GOROOT").Output()
		if err != nil {
			return fmt.Errorf("find the installed Go: %w; name its source with -root", err)
		}
		root = filepath.Join(strings.TrimSpace(string(goroot)), "src")
	}
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
	if vocab == 0 {
		return nil
	}
	files, err := gocode.Files(os.DirFS(root), opt)
	if err != nil {
		return err
	}
	files = slices.DeleteFunc(files, func(f gocode.File) bool { return gocode.HeldOut(f.Package, holdOut) })
	if err := gocode.WriteVocabulary(files, out, vocab); err != nil {
		return err
	}
	fmt.Printf("%7d tokens   %s\n", vocab, filepath.Join(out, "tokenizer.json"))
	return nil
}
