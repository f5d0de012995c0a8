// Package gocode makes training data from Go source trees: whole files for language modelling, and pairs of a doc comment and the
// declaration it documents. The Go standard library, which every Go installation holds under a BSD licence, is its usual source.
package gocode

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"hash/fnv"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

// File is one source file.
type File struct {
	Path    string // slash-separated, relative to the root
	Package string // directory of Path
	Text    string
}

// Pair is a documented declaration.
type Pair struct {
	Package string
	Doc     string // the comment's text, without markers
	Decl    string // the declaration without body and comments
}

// Options limit what is taken.
type Options struct {
	MaxFile int // bytes; larger files are mostly tables. 0 = no limit
	MaxDoc  int // bytes of a pair's doc comment. 0 = no limit
	MaxDecl int // bytes of a pair's declaration. 0 = no limit
}

var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

// Files returns the hand-written, non-test Go files below root in lexical order.
func Files(root fs.FS, opt Options) ([]File, error) {
	var files []File
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if skipDir(d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		if opt.MaxFile > 0 && len(text) > opt.MaxFile || generated.Match(text) {
			return nil
		}
		files = append(files, File{Path: name, Package: path.Dir(name), Text: string(text)})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("gocode: walk the source tree: %w", err)
	}
	return files, nil
}

func skipDir(name string) bool {
	return name == "testdata" || name == "vendor" || strings.HasPrefix(name, "_") || len(name) > 1 && strings.HasPrefix(name, ".")
}

// Pairs returns the exported functions and methods of a file that have a doc comment, in order. Files that do not parse have none.
func Pairs(f File, opt Options) []Pair {
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, f.Path, f.Text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil
	}
	var pairs []Pair
	for _, d := range tree.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || !fn.Name.IsExported() || fn.Doc == nil {
			continue
		}
		p := Pair{Package: f.Package, Doc: strings.TrimSpace(fn.Doc.Text()), Decl: signature(set, fn)}
		if p.Doc == "" || over(p.Doc, opt.MaxDoc) || over(p.Decl, opt.MaxDecl) || strings.HasPrefix(p.Doc, "Deprecated:") {
			continue
		}
		pairs = append(pairs, p)
	}
	return pairs
}

func over(s string, limit int) bool { return limit > 0 && len(s) > limit }

// signature prints a function declaration without its body on one line.
func signature(set *token.FileSet, fn *ast.FuncDecl) string {
	head := *fn
	head.Doc, head.Body = nil, nil
	var b bytes.Buffer
	if err := printer.Fprint(&b, set, &head); err != nil {
		return ""
	}
	return oneLine.Replace(strings.Join(strings.Fields(b.String()), " "))
}

// oneLine removes what is left of a parameter list that was broken over several lines.
var oneLine = strings.NewReplacer("( ", "(", ", )", ")")

// HeldOut decides by a hash of the package's path whether it belongs to the held-out part, which gets about one package in n.
func HeldOut(pkg string, n int) bool {
	h := fnv.New64a()
	h.Write([]byte(pkg))
	return h.Sum64()%uint64(n) == 0
}
