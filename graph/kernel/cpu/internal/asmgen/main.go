// Command asmgen writes the assembly of package cpu. It is a module of its own, so that users of the package need none of its
// dependencies; the files it writes are committed. Run it with go generate in the package directory.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mmcloughlin/avo/attr"
	"github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/pass"
	"github.com/mmcloughlin/avo/printer"
)

func main() {
	dir := flag.String("dir", ".", "directory of package cpu")
	flag.Parse()
	for _, f := range []struct {
		name  string
		write func(*build.Context)
	}{
		{"tile_avx512", tilesAVX512},
		{"tile_avx2", tilesAVX2},
		{"dots", dotTiles},
		{"rows", rowSums},
		{"pack", packers},
		{"vec", vectorOps},
		{"vec64", vectorOps64},
		{"rotary", rotation},
		{"im2col", patchPackers},
		{"lanes", lanes},
		{"exp", exps},
		{"activations", activations},
		{"peak", peaks},
	} {
		if err := generate(*dir, f.name, f.write); err != nil {
			fmt.Fprintf(os.Stderr, "asmgen: %s: %v\n", f.name, err)
			os.Exit(1)
		}
	}
	if err := neonFiles(*dir); err != nil {
		fmt.Fprintf(os.Stderr, "asmgen: neon: %v\n", err)
		os.Exit(1)
	}
	if err := writeTables(*dir); err != nil {
		fmt.Fprintf(os.Stderr, "asmgen: tables: %v\n", err)
		os.Exit(1)
	}
}

// generate writes name_amd64.s and the declarations name_amd64.go.
func generate(dir, name string, write func(*build.Context)) error {
	asm, err := os.Create(filepath.Join(dir, name+"_amd64.s"))
	if err != nil {
		return err
	}
	stubs, err := os.Create(filepath.Join(dir, name+"_amd64.go"))
	if err != nil {
		return err
	}
	c := build.NewContext()
	write(c)
	p := printer.Config{Argv: []string{"asmgen"}, Pkg: "cpu"}
	status := build.Main(&build.Config{
		ErrOut: os.Stderr,
		Passes: []pass.Interface{
			pass.Compile,
			&pass.Output{Writer: asm, Printer: printer.NewGoAsm(p)},
			&pass.Output{Writer: stubs, Printer: printer.NewStubs(p)},
		},
	}, c)
	if status != 0 {
		return fmt.Errorf("exit status %d", status)
	}
	return nil
}

// begin opens a function that keeps no reference to its arguments.
func begin(c *build.Context, name, signature, doc string) {
	c.Function(name)
	c.Attributes(attr.NOSPLIT)
	c.SignatureExpr(signature)
	c.Doc(doc)
	c.Pragma("noescape")
}
