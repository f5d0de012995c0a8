package strictyaml

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// scalar decodes a boolean, a number or a string.
func (d *decoder) scalar(n *yaml.Node, v reflect.Value, path string) {
	switch {
	case v.CanInt(), v.CanUint():
		d.integer(n, v, path)
	case v.CanFloat():
		d.float(n, v, path)
	case v.Kind() == reflect.Bool:
		if n.ShortTag() != "!!bool" {
			d.mismatch(n, v, path)
			return
		}
		v.SetBool(strings.EqualFold(n.Value, "true"))
	case v.Kind() == reflect.String:
		if tag := n.ShortTag(); tag != "!!str" && tag != "!!timestamp" {
			d.mismatch(n, v, path)
			return
		}
		v.SetString(n.Value)
	default:
		d.fail(n, path, "the program's type %s is not supported", v.Type())
	}
}

// integer decodes digits; a float is refused even where its value is whole.
func (d *decoder) integer(n *yaml.Node, v reflect.Value, path string) {
	tag, text := n.ShortTag(), strings.ReplaceAll(n.Value, "_", "")
	digits := strings.TrimLeft(text, "+-")
	switch {
	case tag == "!!float" && strings.Trim(digits, "0123456789") == "": // too large for the parser's integers
		d.fail(n, path, "%s is out of range, expected %s", clip(n.Value), describeType(v.Type()))
		return
	case tag == "!!float":
		d.fail(n, path, "%s is not an integer%s", clip(n.Value), wholeRemedy(text))
		return
	case tag != "!!int":
		d.mismatch(n, v, path)
		return
	case len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9':
		d.fail(n, path, "%s could be octal or decimal; remove the leading zero", clip(n.Value))
		return
	}
	var err error
	if v.CanUint() {
		var u uint64
		u, err = strconv.ParseUint(strings.TrimPrefix(text, "+"), 0, v.Type().Bits())
		v.SetUint(u)
	} else {
		var i int64
		i, err = strconv.ParseInt(text, 0, v.Type().Bits())
		v.SetInt(i)
	}
	if err != nil {
		d.fail(n, path, "%s is out of range, expected %s", clip(n.Value), describeType(v.Type()))
	}
}

// wholeRemedy says how to write a float like 1e4 as the integer it is.
func wholeRemedy(text string) string {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return ""
	}
	return fmt.Sprintf("; write %d", int64(f))
}

// float decodes any number, .inf and .nan.
func (d *decoder) float(n *yaml.Node, v reflect.Value, path string) {
	tag := n.ShortTag()
	if tag != "!!int" && tag != "!!float" {
		d.mismatch(n, v, path)
		return
	}
	f, err := parseFloat(strings.ReplaceAll(n.Value, "_", ""), v.Type().Bits())
	if err != nil {
		d.fail(n, path, "%s is out of range, expected %s", clip(n.Value), describeType(v.Type()))
		return
	}
	v.SetFloat(f)
}

func parseFloat(text string, bits int) (float64, error) {
	switch strings.ToLower(strings.TrimLeft(text, "+-")) {
	case ".inf":
		return math.Inf(1 - 2*strings.Count(text, "-")), nil
	case ".nan":
		return math.NaN(), nil
	}
	f, err := strconv.ParseFloat(text, bits)
	if errors.Is(err, strconv.ErrSyntax) { // hexadecimal, octal, binary
		i, err := strconv.ParseInt(text, 0, 64)
		return float64(i), err
	}
	return f, err
}

func textUnmarshaler(v reflect.Value) (encoding.TextUnmarshaler, bool) {
	if v.Kind() == reflect.Pointer || !v.CanAddr() {
		return nil, false
	}
	t, ok := v.Addr().Interface().(encoding.TextUnmarshaler)
	return t, ok
}

// text lets a type read its own form, from a scalar of any type.
func (d *decoder) text(n *yaml.Node, t encoding.TextUnmarshaler, path string) {
	if n.Kind != yaml.ScalarNode {
		d.fail(n, path, "is %s, expected text", describeNode(n))
		return
	}
	if err := t.UnmarshalText([]byte(n.Value)); err != nil {
		d.fail(n, path, "%v", err)
	}
}

// mismatch reports a value of the wrong type.
func (d *decoder) mismatch(n *yaml.Node, v reflect.Value, path string) {
	remedy, quoted := "", n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0
	switch kind := v.Kind(); {
	case n.Kind != yaml.ScalarNode:
	case kind == reflect.String:
		remedy = "; put it in quotes"
	case kind == reflect.Slice || kind == reflect.Array:
		remedy = fmt.Sprintf("; write [%s]", clip(n.Value))
	case kind == reflect.Bool && oldBool(n.Value) != "":
		remedy = "; write " + oldBool(n.Value)
	case quoted && (v.CanInt() || v.CanUint() || v.CanFloat() || kind == reflect.Bool):
		remedy = "; remove the quotes"
	}
	d.fail(n, path, "is %s, expected %s%s", describeNode(n), describeType(v.Type()), remedy)
}

// oldBool returns the meaning of a boolean that YAML 1.1 had and 1.2 dropped, "" for any other text.
func oldBool(text string) string {
	switch strings.ToLower(text) {
	case "yes", "on", "y":
		return "true"
	case "no", "off", "n":
		return "false"
	}
	return ""
}
