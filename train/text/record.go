package text

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// Record is one line of a data set in one of three forms: running text, a prompt with its completion, or a conversation.
type Record struct {
	Text       *string   `json:"text"`
	Prompt     *string   `json:"prompt"`
	Completion *string   `json:"completion"`
	Messages   []Message `json:"messages"`

	// Where names the file and the line, for errors.
	Where string `json:"-"`
}

// Message is one turn of a conversation.
type Message struct {
	Role    string `json:"role"` // system, user, assistant or tool
	Content string `json:"content"`
}

// maxLine bounds a line of a data set, so that a file without line ends cannot exhaust memory.
const maxLine = 64 << 20

// ReadFile reads all records of a JSONL file. Blank lines are skipped; unknown keys are ignored, as data sets often carry more than
// is trained on.
func ReadFile(path string) ([]Record, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("text: open data: %w", err)
	}
	defer f.Close()
	return Read(path, f)
}

// Read reads all records of a JSONL stream; name labels it in errors.
func Read(name string, r io.Reader) ([]Record, error) {
	var records []Record
	lines := bufio.NewReaderSize(r, 1<<16)
	for n := 1; ; n++ {
		line, err := readLine(lines)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("text: %s:%d: %w", name, n, err)
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			rec, perr := parse(line)
			if perr != nil {
				return nil, fmt.Errorf("text: %s:%d: %w", name, n, perr)
			}
			rec.Where = fmt.Sprintf("%s:%d", name, n)
			records = append(records, rec)
		}
		if err != nil {
			break
		}
	}
	if len(records) == 0 {
		return nil, fmt.Errorf("text: %s: no records; expected one JSON object a line", name)
	}
	return records, nil
}

func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxLine {
			return nil, fmt.Errorf("line longer than %d MiB; is this a JSONL file?", maxLine>>20)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

func parse(line []byte) (Record, error) {
	var rec Record
	if !utf8.Valid(line) {
		return rec, errors.New("invalid UTF-8; store the data set as UTF-8")
	}
	if err := json.Unmarshal(line, &rec); err != nil {
		return rec, fmt.Errorf("found no valid JSON object: %w", err)
	}
	return rec, rec.check()
}

// check makes sure that the record has exactly one of the forms.
func (r *Record) check() error {
	var forms []string
	if r.Text != nil {
		forms = append(forms, "text")
	}
	if r.Prompt != nil || r.Completion != nil {
		forms = append(forms, "prompt/completion")
	}
	if r.Messages != nil {
		forms = append(forms, "messages")
	}
	const expected = `expected {"text"}, {"prompt","completion"} or {"messages"}`
	switch {
	case len(forms) == 0:
		return fmt.Errorf("found none of the known keys, %s", expected)
	case len(forms) > 1:
		return fmt.Errorf("found %s in one record, %s", strings.Join(forms, " and "), expected)
	case forms[0] == "prompt/completion" && (r.Prompt == nil || r.Completion == nil):
		return errors.New(`found one of "prompt" and "completion", expected both`)
	case forms[0] == "messages":
		return checkMessages(r.Messages)
	}
	return nil
}

func checkMessages(messages []Message) error {
	if len(messages) == 0 {
		return errors.New("messages: found an empty list")
	}
	assistant := false
	for i, m := range messages {
		switch m.Role {
		case "system", "user", "tool":
		case "assistant":
			assistant = true
		default:
			return fmt.Errorf("messages[%d]: found role %q, expected system, user, assistant or tool", i, m.Role)
		}
	}
	if !assistant {
		return errors.New("messages: found no assistant turn, so there is nothing to learn")
	}
	return nil
}
