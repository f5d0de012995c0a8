package main

import (
	"bufio"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/geotune/geotune/configs"
	"github.com/geotune/geotune/train/text/tokenizer"
)

func (a *app) tokenizeCommand() *cobra.Command {
	var path, input string
	var decode bool
	c := &cobra.Command{
		Use:   "tokenize --tokenizer PATH [--input FILE] [--decode]",
		Short: "Turn texts into token ids, or ids into texts",
		Example: `  echo '{"text": "func main() {}"}' | geotune tokenize --tokenizer builtin:quickstart/model
  geotune tokenize --tokenizer DIR --input texts.jsonl
  echo '{"ids": [1, 2, 3]}' | geotune tokenize --tokenizer DIR --decode`,
		Long: `The input holds a JSON object a line: {"text": "..."}, with --decode {"ids": [...]}. For each line one line comes out:
{"ids": [...], "offsets": [[start, end], ...], "pieces": [...]} with special tokens added and offsets in characters,
with --decode {"text": "..."}.`,
	}
	c.Flags().StringVar(&path, "tokenizer", "", "`PATH` of a tokenizer.json, or of a directory that holds one")
	c.Flags().StringVar(&input, "input", "-", "JSONL `FILE`, - for standard input")
	c.Flags().BoolVar(&decode, "decode", false, "turn ids into texts")
	c.Flags().Bool("json", true, "one JSON object a line: the only form there is")
	return a.command(c, func([]string) error { return a.tokenize(path, input, decode) }, "tokenizer")
}

func (a *app) tokenize(path, input string, decode bool) error {
	path, err := configs.Resolve(path)
	if err != nil {
		return err
	}
	t, err := tokenizer.Load(path)
	if err != nil {
		return err
	}
	in, err := a.open(input)
	if err != nil {
		return err
	}
	defer in.Close()
	convert := tokenizer.WriteJSONL
	if decode {
		convert = tokenizer.DecodeJSONL
	}
	out := bufio.NewWriter(a.stdout)
	if err := convert(in, out, t); err != nil {
		return err
	}
	return out.Flush()
}

// open opens a file for reading, or standard input for "-".
func (a *app) open(path string) (io.ReadCloser, error) {
	if path == "-" {
		return io.NopCloser(a.stdin), nil
	}
	path, err := configs.Resolve(path)
	if err != nil {
		return nil, err
	}
	return os.Open(path)
}
