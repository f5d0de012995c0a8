package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	peer "github.com/nlpodyssey/safetensors"

	"github.com/geotune/geotune/internal/atomicfile"
	"github.com/geotune/geotune/internal/goldens"
)

// standard lists the dtypes that nlpodyssey knows, carried those that it does not.
var (
	standard = []DType{Bool, U8, I8, I16, U16, F16, BF16, I32, U32, F32, F64, I64, U64}
	carried  = []DType{"F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F8_FUTURE", "F4", "F6_E2M3", "F6_E3M2", "C64"}
)

// rawOf returns a tensor of arbitrary bytes.
func rawOf(name string, d DType, shape ...int) Tensor {
	n := d.Bits()
	for _, e := range shape {
		n *= e
	}
	data := make([]byte, n/8)
	for i := range data {
		data[i] = byte(i*31 + len(name))
	}
	return Raw(name, d, shape, data)
}

func encode(t testing.TB, tensors []Tensor, metadata map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Encode(&b, tensors, metadata); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func parse(t testing.TB, data []byte) *Set {
	t.Helper()
	s, err := Parse("memory", data)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func collect(t testing.TB, x Tensor) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := x.Data(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestEveryDTypeComesBackUnchanged(t *testing.T) {
	var tensors []Tensor
	for _, d := range slices.Concat(standard, carried) {
		tensors = append(tensors, rawOf("m."+string(d), d, 2, 4), rawOf("empty."+string(d), d, 0, 5))
		if d.Bits() >= 8 {
			tensors = append(tensors, rawOf("scalar."+string(d), d), rawOf("deep."+string(d), d, 1, 2, 1, 1, 3, 1, 1, 2))
		}
	}
	metadata := map[string]string{"format": "pt", "": "empty key", "quote": `"\` + "\n\x01😀<&>"}
	path := filepath.Join(t.TempDir(), "all.safetensors")
	if err := Write(path, tensors, metadata); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.Len() != len(tensors) || !reflect.DeepEqual(s.Metadata(), metadata) || !slices.IsSorted(s.Names()) {
		t.Errorf("%d tensors, metadata %v; want %d, %v", s.Len(), s.Metadata(), len(tensors), metadata)
	}
	for _, x := range tensors {
		info, ok := s.Info(x.Name)
		if !ok || info.DType != x.DType || !slices.Equal(info.Shape, x.Shape) {
			t.Errorf("tensor %s: %+v, want %s %v", x.Name, info, x.DType, x.Shape)
		}
		if got, err := s.Bytes(x.Name); err != nil || !bytes.Equal(got, collect(t, x)) {
			t.Errorf("tensor %s: other bytes, %v", x.Name, err)
		}
	}
}

func TestTheOrderOfTensorsDoesNotChangeTheFile(t *testing.T) {
	var tensors []Tensor
	for i, d := range append(standard, carried...) {
		tensors = append(tensors, rawOf(fmt.Sprintf("t%d", i%5)+string(d), d, 4))
	}
	want := encode(t, tensors, nil)
	slices.Reverse(tensors)
	if !bytes.Equal(encode(t, tensors, nil), want) {
		t.Error("the reversed list gives another file")
	}
}

// lazy is a tensor as nlpodyssey takes it.
type lazy struct {
	d     peer.DType
	shape []uint64
	data  []byte
}

func (l lazy) DType() peer.DType { return l.d }
func (l lazy) Shape() []uint64   { return l.shape }
func (l lazy) Data() []byte      { return l.data }
func (l lazy) DataLen() uint64   { return uint64(len(l.data)) }

func TestFilesAreByteForByteThoseOfNlpodyssey(t *testing.T) {
	var tensors []Tensor
	views := map[string]lazy{}
	for i, d := range standard {
		for _, shape := range [][]int{{}, {2, 3}, {0}} {
			x := rawOf(fmt.Sprintf("layer.%d.<é>%v", 20-i, shape), d, shape...)
			kind, err := peer.ParseDType(string(d))
			if err != nil {
				t.Fatal(err)
			}
			v := lazy{d: kind, data: collect(t, x), shape: []uint64{}}
			for _, n := range shape {
				v.shape = append(v.shape, uint64(n))
			}
			views[x.Name] = v
			tensors = append(tensors, x)
		}
	}
	metadata := map[string]string{"format": "pt"}
	want, err := peer.Serialize(views, metadata)
	if err != nil {
		t.Fatal(err)
	}
	if got := encode(t, tensors, metadata); !bytes.Equal(got, want) {
		t.Errorf("files differ:\n%q\n%q", got, want)
	}
}

// agree compares our reading with nlpodyssey's, which must accept what we accept unless a dtype is unknown to it.
func agree(t testing.TB, data []byte, s *Set) {
	t.Helper()
	for _, name := range s.Names() {
		info, _ := s.Info(name)
		if slices.Contains(standard, info.DType) {
			continue
		}
		return
	}
	p, err := peer.Deserialize(data)
	if err != nil {
		t.Fatalf("nlpodyssey refuses the file: %v", err)
	}
	if p.Len() != s.Len() {
		t.Fatalf("nlpodyssey reads %d tensors, we %d", p.Len(), s.Len())
	}
	for _, name := range s.Names() {
		info, _ := s.Info(name)
		v, ok := p.Tensor(name)
		if !ok || v.DType().String() != string(info.DType) || fmt.Sprint(v.Shape()) != fmt.Sprint(info.Shape) {
			t.Fatalf("tensor %q: nlpodyssey reads %v %v, we %+v", name, v.DType(), v.Shape(), info)
		}
		if b, err := s.Bytes(name); err != nil || !bytes.Equal(b, v.Data()) {
			t.Fatalf("tensor %q: other bytes than nlpodyssey's, %v", name, err)
		}
	}
}

func TestReferenceFilesAgreeWithTheirHeaders(t *testing.T) {
	files := 0
	err := filepath.WalkDir(goldens.Dir(t), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".safetensors" {
			return err
		}
		files++
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		s, err := Open(path)
		if err != nil {
			return err
		}
		defer s.Close()
		agree(t, data, s)
		compareWithHeader(t, path, data, s)
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) || (err == nil && files == 0) {
		t.Skipf("no reference files here; set %s to the goldens folder", goldens.Env)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d files", files)
}

// compareWithHeader reads the header with encoding/json.
func compareWithHeader(t *testing.T, path string, data []byte, s *Set) {
	t.Helper()
	var header map[string]struct {
		DType  DType `json:"dtype"`
		Shape  []int `json:"shape"`
		Offset []int `json:"data_offsets"`
	}
	n := binary.LittleEndian.Uint64(data)
	if err := json.Unmarshal(data[8:8+n], &header); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	delete(header, "__metadata__")
	if len(header) != s.Len() {
		t.Errorf("%s: %d tensors, header describes %d", path, s.Len(), len(header))
	}
	for name, h := range header {
		info, ok := s.Info(name)
		if !ok || info.DType != h.DType || !slices.Equal(info.Shape, h.Shape) {
			t.Errorf("%s: tensor %s: %+v, header says %+v", path, name, info, h)
		}
		got, err := s.Bytes(name)
		if err != nil || !bytes.Equal(got, data[8+int(n)+h.Offset[0]:8+int(n)+h.Offset[1]]) {
			t.Errorf("%s: tensor %s: other bytes, %v", path, name, err)
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	fill := func(n int) func(io.Writer) error {
		return func(w io.Writer) error { _, err := w.Write(make([]byte, n)); return err }
	}
	broken := errors.New("broken source")
	for _, c := range []struct {
		name    string
		tensors []Tensor
		reason  string
	}{
		{"reserved name", []Tensor{rawOf("__metadata__", U8, 1)}, "reserves"},
		{"invalid UTF-8", []Tensor{rawOf("\xff", U8, 1)}, "UTF-8"},
		{"name twice", []Tensor{rawOf("x", U8, 1), rawOf("x", F32, 1)}, "given twice"},
		{"unknown dtype", []Tensor{{Name: "x", DType: "Q4", Shape: []int{1}, Data: fill(1)}}, "unknown dtype"},
		{"negative extent", []Tensor{{Name: "x", DType: U8, Shape: []int{-1}, Data: fill(0)}}, "negative"},
		{"overflow", []Tensor{{Name: "x", DType: U8, Shape: []int{math.MaxInt}, Data: fill(0)}, {Name: "y", DType: F64, Shape: []int{math.MaxInt / 8}, Data: fill(0)}}, "overflow"},
		{"nine dimensions", []Tensor{rawOf("x", U8, 1, 1, 1, 1, 1, 1, 1, 1, 1)}, "at most 8"},
		{"short data", []Tensor{{Name: "x", DType: U8, Shape: []int{3}, Data: fill(2)}}, "data has 2 bytes"},
		{"long data", []Tensor{{Name: "x", DType: U8, Shape: []int{3}, Data: fill(4)}}, "longer"},
		{"no data", []Tensor{{Name: "x", DType: U8, Shape: []int{3}}}, "no data"},
		{"half a byte", []Tensor{{Name: "x", DType: "F4", Shape: []int{3}, Data: fill(1)}}, "whole bytes"},
		{"wrong length of floats", []Tensor{Floats("x", F32, []int{3}, make([]float32, 2))}, "data has 8 bytes"},
		{"floats as integers", []Tensor{Floats("x", I32, []int{1}, make([]float32, 1))}, "cannot store floats"},
		{"failing source", []Tensor{{Name: "x", DType: U8, Shape: []int{3}, Data: func(io.Writer) error { return broken }}}, "broken source"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "x.safetensors")
			err := Write(path, c.tensors, nil)
			if err == nil || !strings.Contains(err.Error(), c.reason) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v, want the path and %q", err, c.reason)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

func TestWriteReportsAFailingWriter(t *testing.T) {
	restore := atomicfile.SetHook(func(op atomicfile.Op, _ string) error {
		if op == atomicfile.Write {
			return fs.ErrPermission
		}
		return nil
	})
	defer restore()
	path := filepath.Join(t.TempDir(), "x")
	if err := Write(path, []Tensor{rawOf("x", U8, 1)}, nil); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("error %v", err)
	}
}

func TestIntegersAndFloatsComeBackAsValues(t *testing.T) {
	s := parse(t, encode(t, []Tensor{
		Integers("i64", []int{3}, []int64{math.MinInt64, 0, math.MaxInt64}),
		Integers("i32", []int{2}, []int32{math.MinInt32, math.MaxInt32}),
		Integers("i16", []int{2}, []int16{math.MinInt16, math.MaxInt16}),
		Integers("i8", []int{2}, []int8{-128, 127}),
		Integers("u32", []int{1}, []uint32{math.MaxUint32}),
		Integers("u16", []int{1}, []uint16{math.MaxUint16}),
		Integers("u8", []int{1}, []uint8{255}),
		Integers("u64", []int{1}, []uint64{math.MaxUint64}),
		Raw("bool", Bool, []int{2}, []byte{1, 0}),
		Floats("f64", F64, []int{2}, []float32{0.1, -3}),
		Floats("f32", F32, []int{2}, []float32{0.1, -3}),
		Floats("f16", F16, []int{2}, []float32{0.5, -3}),
		Floats("bf16", BF16, []int{2}, []float32{0.5, -3}),
	}, nil))
	for name, want := range map[string][]int64{
		"i64": {math.MinInt64, 0, math.MaxInt64}, "i32": {math.MinInt32, math.MaxInt32}, "i16": {math.MinInt16, math.MaxInt16}, "i8": {-128, 127},
		"u32": {math.MaxUint32}, "u16": {math.MaxUint16}, "u8": {255}, "bool": {1, 0},
	} {
		if got, err := s.Int64(name); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v; want %v", name, got, err, want)
		}
	}
	for name, want := range map[string][]float32{"f64": {0.1, -3}, "f32": {0.1, -3}, "f16": {0.5, -3}, "bf16": {0.5, -3}} {
		if got, err := s.Float32(name); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v; want %v", name, got, err, want)
		}
		if got, err := s.Float64(name); err != nil || len(got) != 2 || got[0] != float64(want[0]) {
			t.Errorf("%s: %v, %v; want %v", name, got, err, want)
		}
	}
	if got, err := s.Int32("i32"); err != nil || !slices.Equal(got, []int32{math.MinInt32, math.MaxInt32}) {
		t.Errorf("Int32: %v, %v", got, err)
	}
	_, tooWide := s.Int32("u32")
	_, tooWide64 := s.Int64("u64")
	_, notInteger := s.Int64("f32")
	_, notFloat := s.Float32("i8")
	_, absent := s.Float32("nobody")
	for _, err := range []error{tooWide, tooWide64, notInteger, notFloat, absent} {
		if err == nil || !strings.Contains(err.Error(), "memory: tensor ") {
			t.Errorf("error %v, want one that names the file and the tensor", err)
		}
	}
	if !errors.Is(absent, ErrNotFound) {
		t.Errorf("error %v is not ErrNotFound", absent)
	}
}

func TestAStoredTensorIsCopiedUnchanged(t *testing.T) {
	first := encode(t, []Tensor{rawOf("a", "F8_E4M3", 3), rawOf("b", BF16, 2, 2), rawOf("c", I64)}, nil)
	s := parse(t, first)
	var tensors []Tensor
	for _, name := range s.Names() {
		x, err := s.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		tensors = append(tensors, x)
	}
	if !bytes.Equal(encode(t, tensors, nil), first) {
		t.Error("the copy differs")
	}
}

func TestAClosedSetHasNoTensors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	if err := Write(path, []Tensor{rawOf("x", U8, 1)}, nil); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Bytes("x"); err == nil || s.Metadata() != nil {
		t.Errorf("error %v", err)
	}
}
