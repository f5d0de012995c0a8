package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// parse returns the root of the only document in data.
func parse(filename string, data []byte) (*yaml.Node, error) {
	if len(data) > maxBytes {
		return nil, fmt.Errorf("%s: %d bytes are over the limit of %d for a configuration", filename, len(data), maxBytes)
	}
	loader, err := yaml.NewLoader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filename, err)
	}
	var doc, more yaml.Node
	if err := loader.Load(&doc); errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: is empty; expected keys and values", filename)
	} else if err != nil {
		return nil, syntaxError(filename, err)
	}
	if err := loader.Load(&more); err == nil {
		return nil, fmt.Errorf("%s:%d:%d: a second document begins; expected only one", filename, more.Line, more.Column)
	} else if !errors.Is(err, io.EOF) {
		return nil, syntaxError(filename, err)
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 || (isNull(doc.Content[0]) && doc.Content[0].Value == "") {
		return nil, fmt.Errorf("%s: is empty; expected keys and values", filename)
	}
	return doc.Content[0], nil
}

// syntaxError gives the parser's complaint our form.
func syntaxError(filename string, err error) error {
	var e *yaml.LoadError
	if !errors.As(err, &e) {
		return fmt.Errorf("%s: %w", filename, err)
	}
	message := e.Message
	if e.ContextMsg != "" {
		message = strings.TrimPrefix(e.ContextMsg, "while ") + ": " + message
	}
	if e.Mark.Line == 0 {
		return fmt.Errorf("%s: not valid YAML: %s", filename, message)
	}
	return fmt.Errorf("%s:%d:%d: not valid YAML: %s", filename, e.Mark.Line, max(e.Mark.Column, 1), message)
}

// Locate returns where the document sets the value at a path such as "adapter.rank" or "groups[1].match", as "filename:line:column", for errors that are found only after decoding;
// filename alone when the value is not set there.
func Locate(filename string, data []byte, path string) string {
	n := find(filename, data, path)
	if n == nil {
		return filename
	}
	return fmt.Sprintf("%s:%d:%d", filename, n.Line, n.Column)
}

// Peek returns the text of the scalar at a path such as "optimizer.name" before anything is decoded, for files in which one value decides what the others may be;
// ok is false where the document does not set it, or is not valid.
func Peek(data []byte, path string) (text string, ok bool) {
	n := find("", data, path)
	if n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n == nil || n.Kind != yaml.ScalarNode || isNull(n) {
		return "", false
	}
	return n.Value, true
}

// find returns the value at path, nil where the document does not set it or is not valid.
func find(filename string, data []byte, path string) *yaml.Node {
	n, err := parse(filename, data)
	if err != nil {
		return nil
	}
	return descend(n, path)
}

// descend follows a path from n; nil where that leads nowhere.
func descend(n *yaml.Node, path string) *yaml.Node {
	for path != "" && n != nil {
		n, path = child(n, path)
	}
	return n
}

// child returns the value whose key or index begins the path, and the rest of the path. A key may hold dots itself: the longest one that fits counts.
func child(n *yaml.Node, path string) (value *yaml.Node, rest string) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch n.Kind {
	case yaml.SequenceNode:
		return element(n, path)
	case yaml.MappingNode:
	default:
		return nil, ""
	}
	longest := -1
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i].Value
		after, ok := strings.CutPrefix(path, key)
		if ok && len(key) > longest && (after == "" || after[0] == '.' || after[0] == '[') {
			longest, value, rest = len(key), n.Content[i+1], strings.TrimPrefix(after, ".")
		}
	}
	return value, rest
}

// element is child for a list: path begins with an index in brackets.
func element(n *yaml.Node, path string) (value *yaml.Node, rest string) {
	index, rest, ok := strings.Cut(strings.TrimPrefix(path, "["), "]")
	i, err := strconv.Atoi(index)
	if !ok || path[0] != '[' || err != nil || i < 0 || i >= len(n.Content) {
		return nil, ""
	}
	return n.Content[i], strings.TrimPrefix(rest, ".")
}
