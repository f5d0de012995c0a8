package tokenizer

import (
	"bytes"
	"strings"
	"testing"
)

func small(tb testing.TB) *Tokenizer {
	tb.Helper()
	tok, err := New([]byte(file("post_processor",
		`{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>"}},{"Sequence":{"id":"A"}}],"special_tokens":{"<s>":{"id":"<s>","ids":[3],"tokens":["<s>"]}}}`)))
	if err != nil {
		tb.Fatal(err)
	}
	return tok
}

func TestJSONLinesGoInAndComeBack(t *testing.T) {
	in := `{"text":"ab<s>b","cat":"x"}` + "\n" + `{"text":""}`
	want := `{"ids":[3,2,3,1],"offsets":[[0,0],[0,2],[2,5],[5,6]],"pieces":["<s>","ab","<s>","b"]}` + "\n" +
		`{"ids":[3],"offsets":[[0,0]],"pieces":["<s>"]}` + "\n"
	var ids, texts bytes.Buffer
	if err := WriteJSONL(strings.NewReader(in), &ids, small(t)); err != nil {
		t.Fatal(err)
	}
	if ids.String() != want {
		t.Errorf("got  %s\nwant %s", &ids, want)
	}
	if err := DecodeJSONL(&ids, &texts, small(t)); err != nil {
		t.Fatal(err)
	}
	if want := `{"text":"abb"}` + "\n" + `{"text":""}` + "\n"; texts.String() != want {
		t.Errorf("got  %s\nwant %s", &texts, want)
	}
}

func TestMalformedLinesAreNamedByNumber(t *testing.T) {
	for _, bad := range []string{``, `{`, `[]`, `"a"`, `null`, `{}`, `{"text":7}`, `{"text":null}`} {
		var out bytes.Buffer
		err := WriteJSONL(strings.NewReader(`{"text":"a"}`+"\n"+bad+"\n"), &out, small(t))
		if err == nil || !strings.HasPrefix(err.Error(), "line 2: ") {
			t.Errorf("%q: error %v, expected one about line 2", bad, err)
		}
		if strings.Count(out.String(), "\n") != 1 {
			t.Errorf("%q: wrote %q, expected the line before", bad, &out)
		}
	}
	for _, bad := range []string{`{}`, `{"ids":[0.5]}`, `{"ids":["a"]}`, `{"ids":[4]}`, `{"ids":[-1]}`, `{"ids":[9999999999]}`} {
		var out bytes.Buffer
		err := DecodeJSONL(strings.NewReader(`{"ids":[0]}`+"\n"+bad+"\n"), &out, small(t))
		if err == nil || !strings.HasPrefix(err.Error(), "line 2: ") {
			t.Errorf("%q: error %v, expected one about line 2", bad, err)
		}
	}
}
