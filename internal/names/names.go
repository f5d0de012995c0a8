package names

import (
	"fmt"
	"strings"
)

// DidYouMean proposes the candidates nearest to a word as the end of a message, "; did you mean this or that?", and is empty where nothing
// is similar.
func DidYouMean(word string, candidates []string) string {
	near := Nearest(word, candidates)
	if near == nil {
		return ""
	}
	return "; did you mean " + strings.Join(near, " or ") + "?"
}

// Unknown is the message for a name that is none of the known ones; what says what it names.
func Unknown(what, name string, known []string) string {
	return fmt.Sprintf("unknown %s %q; known are %s%s", what, name, strings.Join(known, ", "), DidYouMean(name, known))
}

// Few joins a list, of a long one the first few and how many more there are.
func Few(list []string, most int) string {
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
}
