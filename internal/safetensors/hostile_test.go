package safetensors

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// pack builds a file from a header and data of n bytes.
func pack(header string, n int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, n)...)
}

// one describes one tensor "x".
func one(dtype, shape, offsets string) string {
	return fmt.Sprintf(`{"x":{"dtype":%s,"shape":%s,"data_offsets":%s}}`, dtype, shape, offsets)
}

// two describes tensors "a" and "b", one-dimensional of U8.
func two(aLen, aBegin, aEnd, bLen, bBegin, bEnd int) string {
	return fmt.Sprintf(`{"a":{"dtype":"U8","shape":[%d],"data_offsets":[%d,%d]},"b":{"dtype":"U8","shape":[%d],"data_offsets":[%d,%d]}}`,
		aLen, aBegin, aEnd, bLen, bBegin, bEnd)
}

func length(n uint64, rest string) []byte {
	return append(binary.LittleEndian.AppendUint64(nil, n), rest...)
}

// hostile lists files that must be refused and a part of the reason.
var hostile = []struct {
	name   string
	file   []byte
	reason string
}{
	{"empty", nil, "too few"},
	{"seven bytes", make([]byte, 7), "too few"},
	{"length 0", length(0, "{}"), "begin"},
	{"length 1", length(1, "{}"), "begin"},
	{"length 2^64-1", length(1<<64-1, "{}"), "limit"},
	{"length 2^63", length(1<<63, "{}"), "limit"},
	{"length 2^40", length(1<<40, "{}"), "limit"},
	{"length one over the limit", length(maxHeader+1, "{}"), "limit"},
	{"length over the file", length(3, "{}"), "does not fit"},
	{"length over the file by the prefix", length(10, "{}"), "does not fit"},
	{"Git LFS pointer", []byte("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "git lfs pull"},
	{"null", pack("null", 0), "begin"},
	{"array", pack("[]", 0), "begin"},
	{"leading space", pack(" {}", 0), "begin"},
	{"byte order mark", pack("\ufeff{}", 0), "begin"},
	{"unclosed", pack("{ ", 0), "string"},
	{"two values", pack("{}{}", 0), "end of the text"},
	{"trailing zeros in the header", pack("{}\x00\x00", 0), "end of the text"},
	{"trailing comma", pack(`{"__metadata__":{},}`, 0), "string"},
	{"single quotes", pack(`{'x':1}`, 0), "string"},
	{"comment", pack(`{/**/}`, 0), "string"},
	{"nested objects", pack(strings.Repeat(`{"a":`, 100000), 0), "unknown key"},
	{"nested arrays", pack(`{"a":`+strings.Repeat("[", 100000), 0), "an object"},
	{"tensor null", pack(`{"x":null}`, 0), "an object"},
	{"tensor number", pack(`{"x":1}`, 0), "an object"},
	{"no keys", pack(`{"x":{}}`, 0), "only the keys"},
	{"no dtype", pack(`{"x":{"shape":[],"data_offsets":[0,0]}}`, 0), "only the keys"},
	{"no shape", pack(`{"x":{"dtype":"U8","data_offsets":[0,1]}}`, 1), "only the keys"},
	{"no offsets", pack(`{"x":{"dtype":"U8","shape":[0]}}`, 0), "only the keys"},
	{"extra key", pack(`{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"y":0}}`, 1), "unknown key"},
	{"key in another case", pack(`{"x":{"DType":"U8","shape":[1],"data_offsets":[0,1]}}`, 1), "unknown key"},
	{"duplicate tensor", pack(`{"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`, 0), "described twice"},
	{"duplicate tensor behind an escape", pack(`{"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\u0078":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`, 0), "described twice"},
	{"duplicate dtype", pack(`{"x":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1), "occurs twice"},
	{"duplicate shape", pack(`{"x":{"shape":[1],"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1), "occurs twice"},
	{"duplicate offsets", pack(`{"x":{"data_offsets":[0,1],"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1), "occurs twice"},
	{"duplicate metadata", pack(`{"__metadata__":{},"__metadata__":{}}`, 0), "occurs twice"},
	{"duplicate metadata key", pack(`{"__metadata__":{"a":"","a":""}}`, 0), "occurs twice"},
	{"metadata number", pack(`{"__metadata__":{"a":1}}`, 0), "a string"},
	{"metadata null", pack(`{"__metadata__":null}`, 0), "an object"},
	{"metadata as a tensor", pack(`{"__metadata__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}`, 1), "a string"},
	{"dtype number", pack(one("1", "[1]", "[0,1]"), 1), "a string"},
	{"dtype unknown", pack(one(`"Q4"`, "[1]", "[0,1]"), 1), "unknown dtype"},
	{"dtype in lower case", pack(one(`"f32"`, "[1]", "[0,4]"), 4), "unknown dtype"},
	{"dtype empty", pack(one(`""`, "[1]", "[0,1]"), 1), "unknown dtype"},
	{"4-bit type with half a byte", pack(one(`"F4"`, "[3]", "[0,1]"), 1), "whole bytes"},
	{"shape null", pack(one(`"U8"`, "null", "[0,1]"), 1), "an array"},
	{"shape number", pack(one(`"U8"`, "1", "[0,1]"), 1), "an array"},
	{"shape negative", pack(one(`"U8"`, "[-1]", "[0,1]"), 1), "natural number"},
	{"shape float", pack(one(`"U8"`, "[1.0]", "[0,1]"), 1), "natural number"},
	{"shape exponent", pack(one(`"U8"`, "[1e0]", "[0,1]"), 1), "natural number"},
	{"shape string", pack(one(`"U8"`, `["1"]`, "[0,1]"), 1), "natural number"},
	{"shape with a leading zero", pack(one(`"U8"`, "[01]", "[0,1]"), 1), "natural number"},
	{"shape 2^63", pack(one(`"U8"`, "[9223372036854775808]", "[0,1]"), 1), "overflows"},
	{"shape 2^64-1 behind a zero", pack(one(`"U8"`, "[0,18446744073709551615]", "[0,0]"), 0), "overflows"},
	{"shape 10^30", pack(one(`"U8"`, "[1000000000000000000000000000000]", "[0,1]"), 1), "overflows"},
	{"shape product 2^64", pack(one(`"U8"`, "[4294967296,4294967296]", "[0,0]"), 0), "overflows"},
	{"shape product hidden by a zero", pack(one(`"U8"`, "[0,4611686018427387904,4]", "[0,0]"), 0), "overflows"},
	{"dtype product overflow", pack(one(`"F64"`, "[2305843009213693952]", "[0,0]"), 0), "overflows"},
	{"shape of nine dimensions", pack(one(`"U8"`, "[1,1,1,1,1,1,1,1,1]", "[0,1]"), 1), "more than 8"},
	{"shape of a million dimensions", pack(one(`"U8"`, "["+strings.Repeat("1,", 1e6)+"1]", "[0,1]"), 1), "more than 8"},
	{"offsets null", pack(one(`"U8"`, "[1]", "null"), 1), "an array"},
	{"offsets one", pack(one(`"U8"`, "[1]", "[0]"), 1), "expected 2"},
	{"offsets three", pack(one(`"U8"`, "[1]", "[0,1,1]"), 1), "more than 2"},
	{"offsets negative", pack(one(`"U8"`, "[1]", "[-1,0]"), 1), "natural number"},
	{"offsets backwards", pack(one(`"U8"`, "[1]", "[1,0]"), 1), "backwards"},
	{"offsets 2^63", pack(one(`"U8"`, "[1]", "[9223372036854775807,9223372036854775808]"), 1), "overflows"},
	{"offsets far away", pack(one(`"U8"`, "[1]", "[9223372036854775806,9223372036854775807]"), 1), "past end"},
	{"offsets too short for the shape", pack(one(`"U8"`, "[2]", "[0,1]"), 1), "span 1 bytes"},
	{"offsets too long for the shape", pack(one(`"U8"`, "[1]", "[0,2]"), 2), "span 2 bytes"},
	{"data missing", pack(one(`"F32"`, "[2]", "[0,8]"), 7), "truncated"},
	{"data trailing", pack(one(`"F32"`, "[2]", "[0,8]"), 9), "1 bytes follow"},
	{"data without tensors", pack("{}", 1), "1 bytes follow"},
	{"hole at the beginning", pack(one(`"U8"`, "[1]", "[1,2]"), 2), "holes"},
	{"hole between", pack(two(1, 0, 1, 1, 2, 3), 3), "holes"},
	{"overlap", pack(two(2, 0, 2, 2, 1, 3), 3), "overlaps"},
	{"same range", pack(two(2, 0, 2, 2, 0, 2), 2), "overlaps"},
	{"empty tensor inside another", pack(two(2, 0, 2, 0, 1, 1), 2), "overlaps"},
	{"name of invalid UTF-8", pack("{\"\xff\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0), "UTF-8"},
	{"name of an overlong form", pack("{\"\xc0\x80\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0), "UTF-8"},
	{"name of half a surrogate pair", pack(`{"\ud800":{}}`, 0), "surrogate"},
	{"name of a reversed surrogate pair", pack(`{"\udc00\ud800":{}}`, 0), "surrogate"},
	{"name with an unknown escape", pack(`{"\q":{}}`, 0), "escape"},
	{"name with a short escape", pack(`{"\u00":{}}`, 0), "escape"},
	{"name with a signed escape", pack(`{"\u+041":{}}`, 0), "escape"},
	{"name with a line feed", pack("{\"\n\":{}}", 0), "control character"},
	{"name that does not end", pack(`{"abc`, 0), "does not end"},
	{"name that ends in a backslash", pack(`{"abc\`, 0), "does not end"},
}

func TestHostileFilesAreRefusedWithTheReason(t *testing.T) {
	for _, c := range hostile {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("evil.safetensors", c.file)
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), c.reason) || !strings.HasPrefix(err.Error(), "safetensors: evil.safetensors: ") {
				t.Errorf("error %q, want the file's name and %q", err, c.reason)
			}
			if len(err.Error()) > 500 {
				t.Errorf("error of %d bytes", len(err.Error()))
			}
		})
	}
}

func TestErrorsNameTheTensor(t *testing.T) {
	_, err := Parse("f", pack(one(`"F32"`, "[2]", "[0,8]"), 7))
	const want = `safetensors: f: tensor "x": offsets 0:8 past end of data 7; the file is truncated`
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// manyTensors describes n empty tensors with the shortest possible entries.
func manyTensors(n int, shape string) []byte {
	var b bytes.Buffer
	b.WriteByte('{')
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"%x":{"dtype":"U8","shape":%s,"data_offsets":[0,0]}`, i, shape)
	}
	b.WriteByte('}')
	return pack(b.String(), 0)
}

func manyMetadata(n int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"__metadata__":{"":""`)
	for i := range n {
		fmt.Fprintf(&b, `,"%x":""`, i)
	}
	b.WriteString("}}")
	return pack(b.String(), 0)
}

func TestAHeaderAllocatesAtMostTwiceItsSize(t *testing.T) {
	const slack = 20 << 20 // the limits' worth of small tables
	for _, c := range []struct {
		name string
		file []byte
		ok   bool
	}{
		{"most tensors", manyTensors(maxTensors, "[0,1,1,1,1,1,1,1]"), true},
		{"too many tensors", manyTensors(3*maxTensors, "[0]"), false},
		{"too much metadata", manyMetadata(2e6), false},
		{"long name", pack(`{"`+strings.Repeat("n", 20<<20)+`":{}}`, 0), false},
		{"long escaped name", pack(`{"`+strings.Repeat(`\n`, 10<<20)+`":{}}`, 0), false},
		{"white space", pack("{"+strings.Repeat(" ", 20<<20)+"}", 0), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Parse("f", c.file)
			runtime.ReadMemStats(&after)
			if (err == nil) != c.ok {
				t.Errorf("error %v", err)
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > uint64(2*len(c.file)+slack) {
				t.Errorf("%d bytes allocated for a file of %d", used, len(c.file))
			}
		})
	}
}

// sample is a small valid file with tensors of several kinds.
func sample(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	err := Encode(&b, []Tensor{
		Floats("weight", F32, []int{2, 3}, []float32{1, 2, 3, 4, 5, 6}),
		Floats("half", F16, []int{2}, []float32{0.5, -2}),
		Floats("scalar", BF16, nil, []float32{3}),
		Integers("ids", []int{1, 2}, []int64{7, -1}),
		Raw("empty", U8, []int{3, 0}, nil),
		Raw("odd", "F8_E4M3", []int{3}, []byte{1, 2, 3}),
	}, map[string]string{"format": "pt", "päth": "\"\\\n😀"})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestATruncatedFileIsRefusedAtEveryLength(t *testing.T) {
	whole := sample(t)
	dir := t.TempDir()
	for n := range whole {
		if _, err := Parse("f", whole[:n:n]); err == nil {
			t.Errorf("accepted %d of %d bytes", n, len(whole))
		}
	}
	for _, n := range []int{0, 5, 8, 50, len(whole) - 1} { // the same through the file system
		path := filepath.Join(dir, fmt.Sprint(n))
		if err := os.WriteFile(path, whole[:n], 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%d bytes: error %v", n, err)
		}
	}
}

func TestAFlippedBitIsRefusedOrReadWithinBounds(t *testing.T) {
	whole := sample(t)
	refused := 0
	for i := range whole {
		for bit := range 8 {
			b := bytes.Clone(whole)
			b[i] ^= 1 << bit
			s, err := Parse("f", b)
			if err != nil {
				refused++
				continue
			}
			touch(t, s)
		}
	}
	if refused == 0 {
		t.Error("no flipped bit was noticed")
	}
}

// touch reads every tensor in every way; sizes must agree with shapes.
func touch(t testing.TB, s *Set) {
	t.Helper()
	for _, name := range s.Names() {
		info, ok := s.Info(name)
		if !ok {
			t.Fatalf("tensor %q is listed but not there", name)
		}
		b, err := s.Bytes(name)
		if err != nil || int64(len(b)) != info.Size || len(b)*8 != info.Elements()*info.DType.Bits() {
			t.Fatalf("tensor %q: %d bytes, %v; info %+v", name, len(b), err, info)
		}
		if f, err := s.Float32(name); (err == nil) != info.DType.IsFloat() || (err == nil && len(f) != info.Elements()) {
			t.Fatalf("tensor %q: %d floats, %v", name, len(f), err)
		}
		if v, err := s.Int64(name); err == nil && len(v) != info.Elements() {
			t.Fatalf("tensor %q: %d integers", name, len(v))
		}
	}
}
