package formats

import (
	"bytes"
	"fmt"
	"strings"
	"text/template"
)

// cardText is the model card: the front matter that the Hugging Face hub reads, and how to load the adapter in Python.
var cardText = template.Must(template.New("card").Parse(`---
base_model: {{printf "%q" .Base}}
library_name: peft
tags:
- {{.Tag}}
- geotune
---

# {{.Name}}

{{.About}} for ` + "`{{.Base}}`" + `, trained with geotune.

` + "```python" + `
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
base = {{printf "%q" .Base}}
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), {{printf "%q" .Name}})
tokenizer = AutoTokenizer.from_pretrained(base)
` + "```" + `
`))

// card returns the text of README.md.
func (a *Adapter) card(name string) []byte {
	base := a.Header.Base
	if base == "" {
		base = "path/to/the/base/model"
	}
	kind := strings.ToLower(a.Settings.PEFTType())
	var text bytes.Buffer
	err := cardText.Execute(&text, map[string]string{"Base": base, "Name": name, "Tag": kind, "About": a.about()})
	if err != nil {
		panic(err) // the template is a constant
	}
	return text.Bytes()
}

// about is one phrase on what the adapter is.
func (a *Adapter) about() string {
	l, ok := a.Settings.(*LoRA)
	if !ok {
		return a.Settings.PEFTType() + " adapter"
	}
	kind := "LoRA"
	if l.DoRA {
		kind = "DoRA"
	}
	return fmt.Sprintf("%s adapter (rank %d, alpha %v, target modules %s)", kind, l.Rank, l.Alpha, l.Targets)
}
