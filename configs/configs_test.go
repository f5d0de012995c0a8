package configs

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// ownCache gives the test a cache folder of its own.
func ownCache(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", dir)
	t.Setenv("HOME", dir)
	t.Setenv("LocalAppData", dir)
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return cache
}

func TestResolveExtractsWhatIsBuiltIn(t *testing.T) {
	cache := ownCache(t)
	for _, name := range List() {
		got, err := Resolve(Scheme + name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(got, filepath.Join(cache, "geotune")) {
			t.Errorf("%s is at %s, expected it below %s", name, got, cache)
		}
		st, err := os.Stat(got)
		if err != nil {
			t.Fatal(err)
		}
		if st.IsDir() {
			continue
		}
		want, err := assets.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if data, err := os.ReadFile(got); err != nil || !slices.Equal(data, want) {
			t.Errorf("%s has %d bytes, expected %d, %v", got, len(data), len(want), err)
		}
	}
}

func TestOtherPathsStayAsTheyAre(t *testing.T) {
	for _, path := range []string{"", "model", "/a/builtin:b", "./builtin:x"} {
		if got, err := Resolve(path); got != path || err != nil {
			t.Errorf("%q became %q, %v", path, got, err)
		}
	}
}

func TestADamagedCopyIsReplaced(t *testing.T) {
	ownCache(t)
	path, err := Resolve("builtin:quickstart.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, damage := range []func() error{
		func() error { return os.Truncate(path, 3) },
		func() error { return os.Remove(path) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		if _, err := Resolve("builtin:quickstart.yaml"); err != nil {
			t.Fatal(err)
		}
		if err := intact(filepath.Dir(path), "."); err != nil {
			t.Error(err)
		}
	}
}

// TestDamageIsFoundInWhatIsAskedFor: in all of it, and in nothing else.
func TestDamageIsFoundInWhatIsAskedFor(t *testing.T) {
	ownCache(t)
	recipe, err := Resolve("builtin:quickstart.yaml")
	if err != nil {
		t.Fatal(err)
	}
	weights := filepath.Join(filepath.Dir(recipe), "quickstart", "model", "model.safetensors")
	if err := os.Truncate(weights, 3); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		damaged bool
	}{{"quickstart.yaml", true}, {"quickstart/pairs-heldout.jsonl", true}, {"quickstart/model", false}} {
		if _, err := Resolve(Scheme + c.name); err != nil {
			t.Fatal(err)
		}
		if damaged := intact(filepath.Dir(recipe), ".") != nil; damaged != c.damaged {
			t.Errorf("after %s the weights are damaged: %v, want %v", c.name, damaged, c.damaged)
		}
	}
}

func TestManyMayResolveAtOnce(t *testing.T) {
	ownCache(t)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			path, err := Resolve("builtin:quickstart/model/config.json")
			if err == nil {
				_, err = os.ReadFile(path)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

func TestAFolderForTemporaryFilesStandsInForTheCache(t *testing.T) {
	cache, temp := ownCache(t), t.TempDir()
	t.Setenv("TMPDIR", temp)
	t.Setenv("TMP", temp)
	if err := os.MkdirAll(filepath.Dir(cache), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(cache, "geotune"), nil, 0o666); err != nil { // in the way of the folder
		t.Fatal(err)
	}
	got, err := Resolve("builtin:quickstart.yaml")
	if err != nil || !strings.HasPrefix(got, temp) {
		t.Errorf("resolved to %s, %v; expected it below %s", got, err, temp)
	}
}

func TestUnknownNamesAreAnsweredWithKnownOnes(t *testing.T) {
	for name, want := range map[string]string{
		"builtin:quickstar.yaml":  "configs: builtin:quickstar.yaml is not built in; there is builtin:quickstart.yaml",
		"builtin:../configs.go":   "is not built in; there is builtin:compare-quickstart.yaml, builtin:lora-llama.yaml, builtin:pretrain-gocode.yaml, builtin:quickstart.yaml, builtin:quickstart",
		"builtin:quickstart/modl": "builtin:quickstart/model",
		"builtin:":                "is not built in",
	} {
		if _, err := Resolve(name); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", name, err, want)
		}
	}
}

func TestEveryRecipeOpensWithTheCommandThatRunsIt(t *testing.T) {
	recipes, err := fs.Glob(assets, "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range recipes {
		data, err := assets.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		head, _, _ := strings.Cut(string(data), "\n\n")
		if !(strings.HasPrefix(head, "# go run ") || strings.HasPrefix(head, "# geotune ")) || !strings.Contains(head, "# geotune "+command(name)+" -c "+Scheme+name) {
			t.Errorf("%s opens with\n%s", name, head)
		}
	}
}

// command returns the one that takes the recipe.
func command(recipe string) string {
	if strings.HasPrefix(recipe, "compare-") {
		return "compare"
	}
	return "train"
}
