package formats

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/geotune/geotune/internal/names"
)

// The names of files in a PEFT directory and in a directory of plain weights.
const (
	ConfigFile  = "adapter_config.json"
	TensorFile  = "adapter_model.safetensors"
	WeightsFile = "model.safetensors"
	CardFile    = "README.md"
)

// maxConfig bounds the size of an adapter_config.json; with thousands of target modules it has some hundred kilobytes.
const maxConfig = 16 << 20

// Read reads an adapter: a PEFT directory, a single safetensors file with PEFT's keys, or plain weights. args say what a bare file
// cannot: alpha, use_rslora, init (as init_lora_weights). They are refused where the file says it itself.
func Read(path string, args map[string]string) (*Adapter, error) {
	a, err := read(path, args)
	if err != nil {
		return nil, fmt.Errorf("formats: %s: %w", path, err)
	}
	a.Path = path
	return a, nil
}

func read(path string, args map[string]string) (*Adapter, error) {
	st, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("does not exist; expected an adapter's directory or safetensors file")
	}
	if err != nil {
		return nil, err
	}
	dir, file := path, ""
	if !st.IsDir() {
		dir, file = filepath.Split(path)
	}
	switch hasConfig := isFile(filepath.Join(dir, ConfigFile)); {
	case hasConfig && (file == "" || file == TensorFile):
		return readPEFT(dir, args)
	case file != "":
		return readBare(path, args)
	case isFile(filepath.Join(dir, TensorFile)):
		return readBare(filepath.Join(dir, TensorFile), args)
	case isFile(filepath.Join(dir, WeightsFile)):
		return readBare(filepath.Join(dir, WeightsFile), args)
	}
	return nil, fmt.Errorf("is no adapter: it holds neither %s and %s (PEFT) nor %s (plain weights)%s", ConfigFile, TensorFile, WeightsFile, listing(dir))
}

// listing names what a directory holds instead of an adapter.
func listing(dir string) string {
	entries, _ := os.ReadDir(dir)
	if len(entries) == 0 {
		return "; it is empty"
	}
	var files []string
	for _, e := range entries {
		files = append(files, e.Name())
	}
	return "; found " + names.Few(files, 8)
}

func isFile(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular()
}

// readPEFT reads the two files of a PEFT directory.
func readPEFT(dir string, args map[string]string) (*Adapter, error) {
	if len(args) > 0 {
		return nil, fmt.Errorf("adapter arguments %s are for bare files; %s says it all here", keysOf(args), ConfigFile)
	}
	text, err := readSmall(filepath.Join(dir, ConfigFile))
	if err != nil {
		return nil, err
	}
	s, header, err := ParseConfig(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ConfigFile, err)
	}
	a := &Adapter{Format: "PEFT directory", Why: fmt.Sprintf("%s with peft_type %s", ConfigFile, s.PEFTType()), Settings: s, Header: header}
	if !isFile(filepath.Join(dir, TensorFile)) {
		return nil, fmt.Errorf("%s is missing; found %s alone", TensorFile, ConfigFile)
	}
	if err := a.load(filepath.Join(dir, TensorFile)); err != nil {
		return nil, err
	}
	if err := s.check(a.Tensors); err != nil {
		return nil, fmt.Errorf("%s: %w", TensorFile, err)
	}
	return a, nil
}

func readSmall(path string) ([]byte, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if st.Size() > maxConfig {
		return nil, fmt.Errorf("%s has %d bytes, over the limit of %d", filepath.Base(path), st.Size(), maxConfig)
	}
	return os.ReadFile(path)
}

// ParseConfig reads an adapter_config.json. Its errors name the key.
func ParseConfig(text []byte) (Settings, Header, error) {
	o, err := parseObject(text)
	if err != nil {
		return nil, Header{}, err
	}
	kind := take(o, "peft_type", "")
	parse, ok := settings[kind]
	if !ok && o.err == nil {
		return nil, Header{}, fmt.Errorf("peft_type is %q; geotune reads %s", kind, strings.Join(slices.Sorted(maps.Keys(settings)), ", "))
	}
	header := readHeader(o)
	if o.err != nil {
		return nil, Header{}, o.err
	}
	s, err := parse(o)
	return s, header, err
}

// load reads the tensors and takes PEFT's prefix off, which stands before all of them or before none.
func (a *Adapter) load(path string) error {
	t, err := readTensors(path)
	if err != nil {
		return err
	}
	a.Tensors = make(Tensors, len(t))
	for _, name := range t.Names() {
		if strings.HasPrefix(name, Prefix) {
			a.Prefix = Prefix
			break
		}
	}
	for name, x := range t {
		stem, ok := strings.CutPrefix(name, a.Prefix)
		if !ok || stem == "" {
			return fmt.Errorf("%s: tensor %q is unknown; the names of the others begin with %s", filepath.Base(path), name, Prefix)
		}
		a.Tensors[stem] = x
	}
	return nil
}

// readBare reads a safetensors file without a config.
func readBare(path string, args map[string]string) (*Adapter, error) {
	a := &Adapter{}
	if err := a.load(path); err != nil {
		return nil, err
	}
	for name := range a.Tensors {
		if k := ParseKey(name).Kind; k != KindPlain && k != KindBaseBias && k != KindBaseWeight {
			return a.inferLoRA(args)
		}
	}
	if a.Prefix != "" || len(a.Tensors) == 0 {
		return nil, fmt.Errorf("holds no factors of adapted layers (names that end in .%s)", strings.Join(kinds[:6], ", ."))
	}
	if len(args) > 0 {
		return nil, fmt.Errorf("adapter arguments %s do not go with plain weights", keysOf(args))
	}
	a.Format, a.Why = "plain weights", "a safetensors file without names of adapters"
	return a, nil
}

// inferLoRA derives the settings of a bare file from its shapes and the arguments.
func (a *Adapter) inferLoRA(args map[string]string) (*Adapter, error) {
	a.Format, a.Why = "safetensors file with PEFT's keys", "names that end in ."+KindA+" and the like, without "+ConfigFile
	l := &LoRA{Bias: BiasNone, Init: "default"}
	a.inferShapes(l)
	if err := l.applyArgs(args); err != nil {
		return nil, err
	}
	if _, given := args["alpha"]; !given {
		a.Notes = append(a.Notes, "the file does not say alpha; taken as the rank, so that the scale is 1 (say alpha=N to change it)")
	}
	a.Settings = l
	if err := l.check(a.Tensors); err != nil {
		return nil, err
	}
	return a, l.Validate()
}

// inferShapes sets targets, ranks and flags from the names and shapes of the tensors, and alpha to the rank.
func (a *Adapter) inferShapes(l *LoRA) {
	ranks := map[string]int{}
	for name, x := range a.Tensors {
		switch key := ParseKey(name); key.Kind {
		case KindA, KindEmbeddingA:
			if len(x.Shape) > 0 {
				ranks[key.Module] = x.Shape[0]
			}
			l.Targets.Names = append(l.Targets.Names, key.Module)
		case KindMagnitude:
			l.DoRA = true
		case KindBBias:
			l.LoRABias = true
		case KindBaseBias:
			l.Bias = BiasLoRAOnly
		case KindPlain:
			if i := strings.LastIndexByte(key.Module, '.'); i > 0 && !slices.Contains(l.Save, key.Module[:i]) {
				l.Save = append(l.Save, key.Module[:i])
			}
		}
	}
	slices.Sort(l.Targets.Names)
	slices.Sort(l.Save)
	l.Ranks, l.Alphas = map[string]int{}, map[string]float64{}
	for i, module := range l.Targets.Names {
		if r := ranks[module]; i == 0 {
			l.Rank, l.Alpha = r, float64(r)
		} else if r != l.Rank {
			l.Ranks[escape(module)], l.Alphas[escape(module)] = r, float64(r)
		}
	}
}

// escape makes a path literal within a pattern.
func escape(path string) string { return strings.ReplaceAll(path, ".", `\.`) }

func (l *LoRA) applyArgs(args map[string]string) (err error) {
	for _, key := range slices.Sorted(maps.Keys(args)) {
		switch value := args[key]; key {
		case "alpha":
			l.Alpha, err = strconv.ParseFloat(value, 64)
			l.Alphas = nil
		case "use_rslora":
			l.RSLoRA, err = strconv.ParseBool(value)
		case "init":
			l.Init = value
		default:
			err = errors.New("unknown; expected alpha, use_rslora, init")
		}
		if err != nil {
			return fmt.Errorf("adapter argument %s=%s: %w", key, args[key], err)
		}
	}
	return nil
}

func keysOf(args map[string]string) string { return strings.Join(slices.Sorted(maps.Keys(args)), ", ") }
