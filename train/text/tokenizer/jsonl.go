package tokenizer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxLine bounds one line of JSONL input.
const maxLine = 256 << 20

// WriteJSONL reads lines {"text": ...} and writes for each a line {"ids": [...], "offsets": [[start, end], ...], "pieces": [...]},
// special tokens added. Other keys are ignored. A line that is not such an object is an error that names it by number.
func WriteJSONL(in io.Reader, out io.Writer, t *Tokenizer) error {
	type result struct {
		IDs     []int32  `json:"ids"`
		Offsets [][2]int `json:"offsets"`
		Pieces  []string `json:"pieces"`
	}
	return eachLine(in, out, func(line []byte) (any, error) {
		var record struct{ Text *string }
		if err := json.Unmarshal(line, &record); err != nil {
			return nil, err
		}
		if record.Text == nil {
			return nil, errors.New(`no "text", expected {"text": "..."}`)
		}
		e, err := t.TryEncode(*record.Text, true)
		return result{e.IDs, e.Offsets, e.Pieces}, err
	})
}

// DecodeJSONL reads lines {"ids": [...]} and writes for each a line {"text": ...}, special tokens left out. An id outside of the
// vocabulary is an error.
func DecodeJSONL(in io.Reader, out io.Writer, t *Tokenizer) error {
	type result struct {
		Text string `json:"text"`
	}
	return eachLine(in, out, func(line []byte) (any, error) {
		var record struct{ IDs []int32 }
		if err := json.Unmarshal(line, &record); err != nil {
			return nil, err
		}
		if record.IDs == nil {
			return nil, errors.New(`no "ids", expected {"ids": [...]}`)
		}
		for i, id := range record.IDs {
			if _, ok := t.Token(id); !ok {
				return nil, fmt.Errorf("ids[%d] = %d is not in the vocabulary of %d tokens", i, id, t.VocabSize())
			}
		}
		return result{t.Decode(record.IDs, true)}, nil
	})
}

// eachLine writes what convert makes of each line of in as a line of JSON.
func eachLine(in io.Reader, out io.Writer, convert func(line []byte) (any, error)) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	buffered := bufio.NewWriter(out)
	enc := json.NewEncoder(buffered)
	enc.SetEscapeHTML(false)
	number := 0
	for lines.Scan() {
		number++
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			return errors.Join(buffered.Flush(), fmt.Errorf("line %d: empty, expected a JSON object", number))
		}
		v, err := convert(lines.Bytes())
		if err == nil {
			err = enc.Encode(v)
		}
		if err != nil {
			return errors.Join(buffered.Flush(), fmt.Errorf("line %d: %w", number, err))
		}
	}
	if err := lines.Err(); err != nil {
		return errors.Join(buffered.Flush(), fmt.Errorf("line %d: %w", number+1, err))
	}
	return buffered.Flush()
}
