package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/geotune/geotune/layers/transformer"
	"github.com/geotune/geotune/train/text/tokenizer"
)

// generateFlags are the flags of the generate command.
type generateFlags struct {
	model  modelFlags
	prompt string
	stop   []string
	json   bool
	opt    transformer.GenOptions
}

func (a *app) generateCommand() *cobra.Command {
	var f generateFlags
	c := &cobra.Command{
		Use:   "generate --model DIR [--adapter PATH] --prompt TEXT [flags]",
		Short: "Continue a text",
		Example: `  geotune generate --model builtin:quickstart/model --prompt 'func main() {'
  geotune generate --model DIR --adapter runs/quickstart/adapter --prompt "$(cat prompt.txt)" --temperature 0.7 --seed 1
  cat prompt.txt | geotune generate --model DIR --prompt - --stop '###'`,
		Long: `The text is written as it is generated, until the model ends it, a stop text occurs or the length is reached. Without a temperature
the likeliest token is taken each time. The same seed gives the same text.`,
	}
	f.model.add(c)
	fs := c.Flags()
	fs.StringVar(&f.prompt, "prompt", "", "`TEXT` to continue, - for standard input")
	fs.IntVar(&f.opt.MaxTokens, "max-tokens", 128, "end after `N` tokens; 0 = when the model's context is full")
	fs.Float64Var(&f.opt.Temperature, "temperature", 0, "divide the logits by `T` and draw; 0 takes the likeliest token")
	fs.IntVar(&f.opt.TopK, "top-k", 0, "draw among the `K` likeliest tokens only; 0 = all")
	fs.Float64Var(&f.opt.TopP, "top-p", 1, "draw among the fewest likeliest tokens whose probabilities reach `P`")
	fs.Float64Var(&f.opt.RepetitionPenalty, "repetition-penalty", 1, "`FACTOR` by which tokens that occurred become less likely")
	fs.Uint64Var(&f.opt.Seed, "seed", 0, "`N` that fixes the draws")
	fs.StringArrayVar(&f.stop, "stop", nil, "end before this `TEXT`; may be repeated")
	fs.BoolVar(&f.json, "json", false, "print one JSON object instead of the text")
	return a.command(c, func([]string) error { return a.generate(&f) }, "model", "prompt")
}

func (a *app) generate(f *generateFlags) error {
	if slices.Contains(f.stop, "") {
		return usagef("--stop is empty")
	}
	prompt, err := a.promptText(f.prompt)
	if err != nil {
		return err
	}
	m, err := f.model.open(a)
	if err != nil {
		return err
	}
	defer m.Close()
	tok, err := tokenizer.Load(m.dir)
	if err != nil {
		return err
	}
	ids, err := startOf(prompt, tok)
	if err != nil {
		return err
	}
	out := &generation{Prompt: len(ids), printer: printer{tok: tok, stops: f.stop, w: a.stdout}}
	if f.json {
		out.printer.w = io.Discard
	}
	err = a.continueText(m.Model, tok, ids, f.opt, out)
	switch {
	case !f.json: // ends the line of a text that was cut short, too
		_, lineErr := fmt.Fprintln(a.stdout)
		return errors.Join(err, lineErr)
	case err != nil:
		return err
	}
	return writeJSON(a.stdout, out)
}

// generation is the outcome of generate in JSON.
type generation struct {
	Text    string  `json:"text"`
	IDs     []int32 `json:"ids"`
	Prompt  int     `json:"prompt_tokens"`
	printer printer
}

func (a *app) promptText(flag string) (string, error) {
	if flag != "-" {
		return flag, nil
	}
	data, err := io.ReadAll(a.stdin)
	if err != nil {
		return "", fmt.Errorf("read the prompt: %w", err)
	}
	return string(data), nil
}

// startOf returns the ids of a prompt; an empty one begins with the token that begins or ends texts.
func startOf(prompt string, tok *tokenizer.Tokenizer) ([]int32, error) {
	e, err := tok.TryEncode(prompt, true)
	if err != nil || len(e.IDs) > 0 {
		return e.IDs, err
	}
	for _, special := range []func() (int32, bool){tok.BOS, tok.EOS} {
		if id, ok := special(); ok {
			return []int32{id}, nil
		}
	}
	return nil, errors.New("the prompt is empty, and the tokenizer has no token that begins a text")
}

// continueText generates into out until the model or a stop text ends it, or the user does.
func (a *app) continueText(m *transformer.Model, tok *tokenizer.Tokenizer, ids []int32, opt transformer.GenOptions, out *generation) error {
	stop, err := m.StopIDs()
	if err != nil {
		return err
	}
	opt.Stop = stop
	if id, ok := tok.EOS(); ok && !slices.Contains(opt.Stop, id) {
		opt.Stop = append(opt.Stop, id)
	}
	length := m.Config.MaxPositions
	if opt.MaxTokens > 0 {
		length = min(length, len(ids)+opt.MaxTokens)
	}
	g, err := transformer.NewGenerator(m, length)
	if err != nil {
		return err
	}
	ctx, _, done := a.watch()
	defer done()
	out.IDs, err = g.Generate(ctx, ids, opt, out.printer.add)
	if errors.Is(err, errStop) {
		err = nil
	}
	err = errors.Join(err, out.printer.flush())
	out.Text = out.printer.text.String()
	return err
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}
