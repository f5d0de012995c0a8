package strictyaml

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

// ruled is a section whose further keys depend on the name in it.
type ruled struct {
	Optimizer struct {
		Name string `yaml:"name"`
		Rule any    `yaml:",inline"`
	} `yaml:"optimizer"`
	Data paths `yaml:"data"`
}

type momentum struct {
	Momentum float64 `yaml:"momentum"`
	Nesterov bool    `yaml:"nesterov"`
}

// paths is written as one text or as a list of them.
type paths []string

func (n *paths) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return errors.New("is empty, expected a name")
	}
	*n = paths{string(text)}
	return nil
}

func TestAnInlineInterfaceLendsTheKeysOfWhatItPointsTo(t *testing.T) {
	var c ruled
	c.Optimizer.Rule = &momentum{Momentum: 0.9}
	if err := Decode("f", []byte("optimizer: {name: sgd, nesterov: true}\n"), &c); err != nil {
		t.Fatal(err)
	}
	if err := Set(&c, "optimizer.momentum", "0.5"); err != nil {
		t.Fatal(err)
	}
	if got, want := c.Optimizer.Rule, (&momentum{0.5, true}); !reflect.DeepEqual(got, want) {
		t.Errorf("decoded %+v, want %+v", got, want)
	}
	out, err := Marshal(c)
	if want := "optimizer:\n  name: sgd\n  momentum: 0.5\n  nesterov: true\ndata: []\n"; err != nil || string(out) != want {
		t.Errorf("marshalled, %v:\n%s\nwant\n%s", err, out, want)
	}
	err = Decode("f", []byte("optimizer: {nestero: true, momentum: x}\n"), &c)
	want := "f:1:13: optimizer.nestero: unknown key; did you mean nesterov?\nf:1:38: optimizer.momentum: is the text \"x\", expected a number"
	if err == nil || err.Error() != want {
		t.Errorf("error\n%v\nwant\n%s", err, want)
	}
}

func TestAnInlineInterfaceThatHoldsNoStructPointerLendsNothing(t *testing.T) {
	for _, rule := range []any{nil, momentum{}, 1, (*momentum)(nil)} {
		var c ruled
		c.Optimizer.Rule = rule
		err := Decode("f", []byte("optimizer: {momentum: 0.5}\n"), &c)
		if err == nil || !strings.Contains(err.Error(), "unknown key") {
			t.Errorf("%T: error %v", rule, err)
		}
		if _, err := Marshal(c); err != nil {
			t.Errorf("%T: %v", rule, err)
		}
	}
}

func TestASliceWithUnmarshalTextIsReadFromAScalarToo(t *testing.T) {
	for text, want := range map[string]paths{"a b": {"a b"}, "7": {"7"}, "[a, b]": {"a", "b"}, "[]": {}} {
		var decoded, set ruled
		if err := Decode("f", []byte("data: "+text+"\n"), &decoded); err != nil || !reflect.DeepEqual(decoded.Data, want) {
			t.Errorf("%s: decoded %q, %v", text, decoded.Data, err)
		}
		if err := Set(&set, "data", text); err != nil || !reflect.DeepEqual(set.Data, want) {
			t.Errorf("%s: set %q, %v", text, set.Data, err)
		}
	}
	var c ruled
	for text, want := range map[string]string{
		"''": "f:1:7: data: is empty, expected a name", "[1]": "f:1:8: data[0]: is the integer 1, expected text; put it in quotes",
		"{a: 1}": "f:1:7: data: is a section of keys, expected text",
	} {
		if err := Decode("f", []byte("data: "+text+"\n"), &c); err == nil || err.Error() != want {
			t.Errorf("%s: error %v, want %s", text, err, want)
		}
	}
}

func TestPeekReadsScalarsOnly(t *testing.T) {
	data := []byte("optimizer: {name: sgd, lr: 1e-3, groups: [a], none: ~}\nalias: &a x\nsame: *a\n")
	for path, want := range map[string]string{
		"optimizer.name": "sgd", "optimizer.lr": "1e-3", "same": "x", "optimizer": "", "optimizer.groups": "", "optimizer.none": "", "x": "",
	} {
		if got, ok := Peek(data, path); got != want || ok != (want != "") {
			t.Errorf("%s: %q, %v", path, got, ok)
		}
	}
	if got, ok := Peek([]byte("[1"), "x"); ok {
		t.Errorf("broken file: %q", got)
	}
}
