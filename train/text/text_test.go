package text

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/geotune/geotune/layers/transformer"
	"github.com/geotune/geotune/train"
	"github.com/geotune/geotune/train/text/tokenizer"
)

// bytesTokenizer has a token for every byte, and 256 to end a text.
type bytesTokenizer struct{}

func (bytesTokenizer) Encode(text string, _ bool) tokenizer.Encoding {
	var e tokenizer.Encoding
	for _, b := range []byte(text) {
		e.IDs = append(e.IDs, int32(b))
	}
	return e
}

func (bytesTokenizer) EOS() (int32, bool) { return 256, true }
func (bytesTokenizer) BOS() (int32, bool) { return 0, false }

func (bytesTokenizer) Decode(ids []int32, _ bool) string {
	var b strings.Builder
	for _, id := range ids {
		if id == 256 {
			b.WriteString("<eos>")
			continue
		}
		b.WriteByte(byte(id))
	}
	return b.String()
}

func encode(t *testing.T, line string, opt Options) []Example {
	t.Helper()
	records, err := Read("data.jsonl", strings.NewReader(line))
	if err != nil {
		t.Fatal(err)
	}
	e, err := NewEncoder(bytesTokenizer{}, opt)
	if err != nil {
		t.Fatal(err)
	}
	return e.Encode(records[0])
}

func TestLossMaskOfEachForm(t *testing.T) {
	chat := `{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":"yo"}]}`
	cases := []struct {
		line string
		opt  Options
		want []string
	}{
		{`{"text":"abc"}`, Options{MaxLength: 9}, []string{"a⟦bc<eos>⟧"}},
		{`{"text":"abcdef"}`, Options{MaxLength: 4}, []string{"a⟦bcd⟧", "d⟦ef<eos>⟧"}},
		{`{"prompt":"p:","completion":"q"}`, Options{MaxLength: 9}, []string{"p:⟦q<eos>⟧"}},
		{`{"prompt":"p:","completion":"q"}`, Options{MaxLength: 9, TrainOnPrompt: true}, []string{"p⟦:q<eos>⟧"}},
		{`{"prompt":"p:","completion":"qrs"}`, Options{MaxLength: 4}, []string{"p:⟦qr⟧"}},
		{`{"prompt":"long prompt","completion":"q"}`, Options{MaxLength: 4}, nil},
		{`{"prompt":"","completion":"q"}`, Options{MaxLength: 4}, []string{"q⟦<eos>⟧"}},
		{chat, Options{MaxLength: 99}, []string{"<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n⟦yo<|im_end|>⟧\n⟦<eos>⟧"}},
		{`{"text":""}`, Options{MaxLength: 9}, nil},
	}
	for _, c := range cases {
		var got []string
		for _, ex := range encode(t, c.line, c.opt) {
			got = append(got, Render(ex, bytesTokenizer{}))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s %+v:\nfound    %q\nexpected %q", c.line, c.opt, got, c.want)
		}
	}
}

func TestBadRecordsNameTheirLine(t *testing.T) {
	cases := map[string]string{
		"{\"text\":\"a\"}\n\n{\"txt\":\"b\"}":        "data.jsonl:3: found none of the known keys",
		`{"text":"a","prompt":"b","completion":"c"}`: "text and prompt/completion in one record",
		`{"prompt":"b"}`:  `expected both`,
		`{"messages":[]}`: "empty list",
		`{"messages":[{"role":"robot","content":"x"}]}`: `found role "robot"`,
		`{"messages":[{"role":"user","content":"x"}]}`:  "no assistant turn",
		"{\"text\":\"\xff\"}":                           "invalid UTF-8",
		`["text"]`:                                      "no valid JSON object",
		`{"text":1}`:                                    "no valid JSON object",
		"\n \n":                                         "no records",
		`{"text":"a"} {"text":"b"}`:                     "no valid JSON object",
	}
	for data, want := range cases {
		if _, err := Read("data.jsonl", strings.NewReader(data)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: found error %v, expected %q", data, err, want)
		}
	}
	if _, err := ReadFile(filepath.Join(t.TempDir(), "none.jsonl")); err == nil {
		t.Error("a missing file gives no error")
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"text":"a"}`))
	f.Add([]byte("{\"prompt\":\"a\",\"completion\":\"b\"}\n{\"messages\":[{\"role\":\"assistant\",\"content\":\"x\"}]}"))
	f.Add([]byte("\n{}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		records, err := Read("f", strings.NewReader(string(data)))
		if err != nil {
			return
		}
		e, err := NewEncoder(bytesTokenizer{}, Options{MaxLength: 16})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			for _, ex := range e.Encode(r) {
				if len(ex.IDs) != len(ex.Learn) || len(ex.IDs) > 16 || ex.Learn[0] || ex.targets() == 0 {
					t.Fatalf("bad example %+v", ex)
				}
			}
		}
	})
}

func TestEncodeAllKeepsTheOrder(t *testing.T) {
	var lines strings.Builder
	for i := range 500 {
		fmt.Fprintf(&lines, "{\"text\": \"%s\"}\n", strings.Repeat("x", i%40)) // no, one or several examples each
	}
	records, err := Read("f", strings.NewReader(lines.String()))
	if err != nil {
		t.Fatal(err)
	}
	e, err := NewEncoder(bytesTokenizer{}, Options{MaxLength: 16})
	if err != nil {
		t.Fatal(err)
	}
	var want []Example
	for _, r := range records {
		want = append(want, e.Encode(r)...)
	}
	if got := e.EncodeAll(records); !reflect.DeepEqual(got, want) {
		t.Errorf("%d examples; encoded one by one there are %d, or others", len(got), len(want))
	}
}

// examples returns n examples of different lengths; the ids of example i are 1000·i and up.
func examples(n int) []Example {
	var out []Example
	for i := range n {
		ex := Example{Where: fmt.Sprint("line ", i)}
		for j := range 2 + (i*7)%11 {
			ex.IDs, ex.Learn = append(ex.IDs, int32(1000*i+j)), append(ex.Learn, j > 1)
		}
		out = append(out, ex)
	}
	return out
}

// drain returns the example ids of one epoch in the order in which their first tokens appear.
func drain(t *testing.T, b *Batcher, batches int) (order []int32, targets int) {
	t.Helper()
	for range batches {
		batch := b.Next()
		for i, id := range batch.IDs.I32 {
			if batch.Segments.I32[i] != 0 && batch.Positions.I32[i] == 0 {
				order = append(order, id/1000)
			}
		}
		targets += batch.Targets()
		if n := batch.TargetCount(); n != batch.Targets() {
			t.Fatalf("batch says %d targets and has %d", batch.Targets(), n)
		}
	}
	return order, targets
}

func TestEveryEpochHasEveryExampleOnce(t *testing.T) {
	for _, opt := range []BatchOptions{
		{Size: 3, MaxLength: 24, Pack: true, Shuffle: true, Seed: 0},
		{Size: 3, MaxLength: 24, Pack: true},
		{Size: 4, MaxLength: 24, Shuffle: true, Seed: 5},
		{Size: 4, MaxLength: 24},
	} {
		b, err := NewBatcher(examples(41), opt)
		if err != nil {
			t.Fatal(err)
		}
		var epochs [][]int32
		for range 2 {
			n := len(b.plan(b.next.Epoch + min(1, b.next.Batch)))
			order, targets := drain(t, b, n)
			epochs = append(epochs, slices.Clone(order))
			slices.Sort(order)
			for i, id := range order {
				if int(id) != i {
					t.Fatalf("%+v: example %d is missing or occurs twice", opt, i)
				}
			}
			want := 0
			for _, ex := range examples(41) {
				want += ex.targets()
			}
			if len(order) != 41 || targets != want {
				t.Fatalf("%+v: %d examples and %d targets, expected 41 and %d", opt, len(order), targets, want)
			}
		}
		if same := slices.Equal(epochs[0], epochs[1]); same == opt.Shuffle {
			t.Errorf("%+v: equal order in two epochs is %v", opt, same)
		}
	}
}

func TestNoBatchExceedsTheLargest(t *testing.T) {
	for _, opt := range []BatchOptions{
		{Size: 3, MaxLength: 24, Pack: true, Shuffle: true},
		{Size: 4, MaxLength: 512, Shuffle: true, Seed: 5},
		{Size: 50, MaxLength: 24},
	} {
		b, err := NewBatcher(examples(41), opt)
		if err != nil {
			t.Fatal(err)
		}
		rows, length := b.Largest()
		longest := 0
		for range 2 * b.PerEpoch() {
			batch := b.Next().IDs.Shape
			longest = max(longest, batch[1])
			if batch[0] > rows || batch[1] > length {
				t.Errorf("%+v: a batch of %v; the largest is [%d %d]", opt, batch, rows, length)
			}
		}
		if longest < length && !opt.Pack {
			t.Errorf("%+v: rows of at most %d tokens; the largest is said to be %d", opt, longest, length)
		}
	}
}

func TestRowLengthsAreFewAndClose(t *testing.T) {
	opt, shapes := BatchOptions{MaxLength: 2048}, map[int]bool{}
	for n := 1; n <= opt.MaxLength; n++ {
		length := opt.rowLength(n)
		shapes[length] = true
		if length < n || length-n > max(7, n/8) {
			t.Errorf("%d tokens go into a row of %d", n, length)
		}
	}
	if len(shapes) > 64 {
		t.Errorf("%d row lengths up to %d tokens; expected at most 64", len(shapes), opt.MaxLength)
	}
}

func TestSeekContinuesWithTheSameBatches(t *testing.T) {
	opt := BatchOptions{Size: 3, MaxLength: 24, Pack: true, Shuffle: true, Seed: 9}
	b, err := NewBatcher(examples(40), opt)
	if err != nil {
		t.Fatal(err)
	}
	for range 11 {
		at := b.Position()
		want := slices.Clone(b.Next().IDs.I32)
		other, err := NewBatcher(examples(40), opt)
		if err != nil {
			t.Fatal(err)
		}
		if err := other.Seek(at); err != nil {
			t.Fatal(err)
		}
		if got := other.Next().IDs.I32; !slices.Equal(got, want) {
			t.Fatalf("batch at %+v: found %v, expected %v", at, got, want)
		}
	}
	if err := b.Seek(train.Position{Epoch: 0, Batch: 1000}); err == nil {
		t.Error("a position behind the epoch is accepted")
	}
}

func TestPackedRowsKeepExamplesApart(t *testing.T) {
	ex := examples(3)
	r := row{[]*Example{&ex[0], &ex[1]}, len(ex[0].IDs) + len(ex[1].IDs)}
	n := r.length + 2
	ids, positions, segments, targets := make([]int32, n), make([]int32, n), make([]int32, n), make([]int32, n)
	r.fill(ids, positions, segments, targets)
	a := len(ex[0].IDs)
	if positions[a-1] != int32(a-1) || positions[a] != 0 || segments[a-1] != 1 || segments[a] != 2 || segments[n-1] != 0 {
		t.Errorf("positions %v, segments %v", positions, segments)
	}
	for i, target := range targets {
		if target != transformer.Ignored && (i+1 >= n || target != ids[i+1] || segments[i] != segments[i+1]) {
			t.Errorf("the target of token %d is %d, which does not follow it in its example", i, target)
		}
	}
}

func TestHeldBatchesStayValid(t *testing.T) {
	b, err := NewBatcher(examples(40), BatchOptions{Size: 2, MaxLength: 12, Hold: 3})
	if err != nil {
		t.Fatal(err)
	}
	first := b.Next()
	want := slices.Clone(first.IDs.I32)
	b.Next()
	b.Next()
	if !slices.Equal(first.IDs.I32, want) {
		t.Error("a batch changed while it was held")
	}
}

func TestHeldOutCoversEverythingByLength(t *testing.T) {
	batches, err := HeldOut(examples(23), 4, 12)
	if err != nil {
		t.Fatal(err)
	}
	tokens, want := 0, 0
	for _, b := range batches {
		tokens += b.Items()
	}
	for _, ex := range examples(23) {
		want += len(ex.IDs)
	}
	if tokens != want || len(batches) != 6 {
		t.Errorf("%d batches with %d tokens, expected 6 with %d", len(batches), tokens, want)
	}
}
