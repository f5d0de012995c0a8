package compare

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/geotune/geotune/train"
)

// TestADifferenceNamesEverySettingAsSetTakesIt compares resolved configs that differ in one place each.
func TestADifferenceNamesEverySettingAsSetTakesIt(t *testing.T) {
	parse := func(sets ...string) *train.Config {
		c, err := train.ParseConfig("dir/tiny.yaml", []byte("model: {path: m}\ndata: {train: a.jsonl}\ntrain: {steps: 10}\n"), sets)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	text := func(sets ...string) string {
		out, err := resolved(parse(sets...))
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for _, c := range []struct{ there, here, want string }{
		{"adapter.init.name=pissa", "adapter.init.name=olora", "there adapter.init.name=pissa, here adapter.init.name=olora"},
		{"model.path=m", "adapter.init={name: gaussian, seed: 3}", "there adapter.init.name=default, here adapter.init.name=gaussian, adapter.init.seed=3"},
		{"adapter.rank_pattern={q.k: 3}", "adapter.rank_pattern={q.k: 4}", "there adapter.rank_pattern.q.k=3, here adapter.rank_pattern.q.k=4"},
		{"optimizer.groups=[{match: x, lr_multiplier: 0.5}]", "model.path=m", "there optimizer.groups=[{lr_multiplier: 0.5, match: x, weight_decay: null}], here optimizer.groups=[]"},
		{"data.train=[a.jsonl, b.jsonl]", "train.seed=18446744073709551615", "there data.train=[a.jsonl, b.jsonl], train.seed=0, here data.train=[a.jsonl], train.seed=18446744073709551615"},
		{"optimizer.name=sgd", "optimizer.name=adamw", "there optimizer.name=sgd, "},
		{"model.path=1e3", "model.path=2e3", "there model.path=1e3, here model.path=2e3"},
		{"model.path=a: b", "model.path=a: b", "there nothing, here nothing"},
	} {
		found := difference(text(c.there), text(c.here))
		if !strings.HasPrefix(found, c.want) {
			t.Errorf("%s became %s: %s\nwant %s", c.there, c.here, found, c.want)
		}
	}
	// What is shown of a whole config is what --set takes.
	all, err := settings("config.yaml", text("adapter.init.name=pissa", "out="+filepath.Join("a", "b")))
	if err != nil || len(all) < 30 {
		t.Fatalf("%d settings, %v", len(all), err)
	}
	for _, s := range all {
		parse("adapter.init.name=pissa", s.String())
	}
	if found := difference("a: [", text()); !strings.Contains(found, "not valid YAML") {
		t.Errorf("difference %s", found)
	}
}
