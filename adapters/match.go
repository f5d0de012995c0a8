package adapters

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/geotune/geotune/adapters/formats"
	"github.com/geotune/geotune/internal/names"
)

// selector decides which modules are adapted, by the rules of PEFT's check_target_module_exists.
type selector struct {
	targets, exclude namer
	saved            []*formats.Regexp // modules_to_save are never adapted
	indices          []int
	layer            []*regexp.Regexp // find the index of the layer in a path
}

// namer is a Selection ready for matching.
type namer struct {
	sel formats.Selection
	re  *formats.Regexp
}

func newNamer(s formats.Selection) (n namer, err error) {
	n.sel = s
	if s.Pattern != "" && !s.AllLinear() {
		n.re, err = formats.CompileRegexp(s.Pattern)
	}
	return n, err
}

// match reports whether the selection names the path, and whether by its whole.
func (n *namer) match(path string) (ok, whole bool) {
	switch {
	case n.re != nil:
		return n.re.Match(path), true
	case slices.Contains(n.sel.Names, path):
		return true, true
	}
	return slices.ContainsFunc(n.sel.Names, func(name string) bool { return strings.HasSuffix(path, "."+name) }), false
}

func newSelector(l *formats.LoRA) (*selector, error) {
	s := &selector{indices: l.Indices}
	var errs [2]error
	s.targets, errs[0] = newNamer(l.Targets)
	s.exclude, errs[1] = newNamer(l.Exclude)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	for _, entry := range l.Save {
		re, err := formats.CompileRegexp(`(?:|.*\.)(?:` + entry + `)(?:|\..*)`)
		if err != nil {
			return nil, fmt.Errorf("modules_to_save: %w", err)
		}
		s.saved = append(s.saved, re)
	}
	numbered := []string{`[^.]*`}
	if len(l.Pattern) > 0 {
		numbered = l.Pattern
	}
	for _, p := range numbered {
		re, err := regexp.Compile(`^.*?\.(?:` + p + `)\.(\d+)\.`)
		if err != nil {
			return nil, fmt.Errorf("layers_pattern %q: %w", p, err)
		}
		s.layer = append(s.layer, re)
	}
	return s, nil
}

// excluded reports whether a module is taken out, whatever the targets say.
func (s *selector) excluded(path string) bool {
	ok, _ := s.exclude.match(path)
	return ok || slices.ContainsFunc(s.saved, func(re *formats.Regexp) bool { return re.Match(path) })
}

// match reports whether a module is adapted.
func (s *selector) match(m *module) bool {
	if s.excluded(m.name) {
		return false
	}
	if s.targets.sel.AllLinear() {
		return m.linear != nil && !m.output
	}
	ok, whole := s.targets.match(m.name)
	if !ok || whole || len(s.indices) == 0 {
		return ok
	}
	for _, re := range s.layer {
		if found := re.FindStringSubmatch(m.name); found != nil {
			index, err := strconv.Atoi(found[1])
			return err == nil && slices.Contains(s.indices, index)
		}
	}
	return false
}

// selectModules returns the modules to adapt. When strict, every name in the list of targets has to match a module, before
// exclusion; PEFT asks only that some module is left.
func selectModules(all []module, l *formats.LoRA, strict bool) ([]module, error) {
	s, err := newSelector(l)
	if err != nil {
		return nil, err
	}
	if strict {
		if err := everyName("targets", l.Targets.Names, all); err != nil {
			return nil, err
		}
		if err := everyName("exclude", l.Exclude.Names, all); err != nil {
			return nil, err
		}
	}
	var matched []module
	taken := 0
	for _, m := range all {
		if s.match(&m) {
			matched = append(matched, m)
		} else if ok, _ := s.targets.match(m.name); ok && s.excluded(m.name) {
			taken++
		}
	}
	switch {
	case len(matched) > 0:
		return matched, nil
	case taken > 0:
		return nil, fmt.Errorf("targets %s match %d modules, but exclude %s and modules_to_save %q take out all of them", l.Targets, taken, l.Exclude, l.Save)
	case len(l.Indices) > 0:
		return nil, fmt.Errorf("targets %s match no module in the layers %v (layers_to_transform, layers_pattern %q); %s", l.Targets, l.Indices, l.Pattern, candidates(all))
	}
	return nil, fmt.Errorf("targets %s match none of the %d modules%s; %s", l.Targets, len(all), patternHint(l.Targets.Pattern, all), candidates(all))
}

// patternHint explains a regular expression without a match: it may have been meant as a name.
func patternHint(pattern string, all []module) string {
	if everyName("", []string{pattern}, all) == nil {
		return fmt.Sprintf(": a string is a regular expression for the whole path; to select by name write [%s]", pattern)
	}
	return hint(pattern, all)
}

// shortest returns a list of names that selects exactly the matched modules: the last parts of their paths where that is enough, as
// users and other programs write it, the whole paths otherwise.
func shortest(all, matched []module, l formats.LoRA) formats.Selection {
	l.Targets = formats.Selection{Names: lastParts(matched)}
	again, err := selectModules(all, &l, false)
	if err == nil && len(again) == len(matched) { // each matched module is among them
		return l.Targets
	}
	var names []string
	for _, m := range matched {
		names = append(names, m.name)
	}
	return formats.Selection{Names: names}
}

// everyName checks that each name of a list matches some module.
func everyName(key string, names []string, all []module) error {
	for _, name := range names {
		n := namer{sel: formats.Selection{Names: []string{name}}}
		if !slices.ContainsFunc(all, func(m module) bool { ok, _ := n.match(m.name); return ok }) {
			return fmt.Errorf("%s: %q matches no module%s; %s", key, name, hint(name, all), candidates(all))
		}
	}
	return nil
}

// hint proposes the names that were probably meant.
func hint(name string, all []module) string {
	known := lastParts(all)
	if strings.Contains(name, ".") {
		for _, m := range all {
			known = append(known, m.name)
		}
	}
	return names.DidYouMean(name, known)
}

// candidates lists what could be targeted.
func candidates(all []module) string {
	if len(all) == 0 {
		return "the model has no module that can be adapted"
	}
	return fmt.Sprintf("the modules of the model end in %s, the first is %s", strings.Join(lastParts(all), ", "), all[0].name)
}

// lastParts returns the distinct last components of the paths.
func lastParts(all []module) []string {
	var out []string
	for _, m := range all {
		if last := m.name[strings.LastIndexByte(m.name, '.')+1:]; !slices.Contains(out, last) {
			out = append(out, last)
		}
	}
	return out
}
