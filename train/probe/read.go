package probe

import (
	"fmt"
	"slices"
	"strings"

	"github.com/geotune/geotune/internal/safetensors"
	"github.com/geotune/geotune/train/text"
)

// inputNames are the tensors of a batch for a causal language model.
var inputNames = []string{"attention_mask", "input_ids", "labels", "position_ids"}

// ReadInputs reads a batch by the names of the Hugging Face forward (see text.ReadBatch) and refuses tensors of other names, which
// would be left out of the comparison.
func ReadInputs(path string) (*text.Batch, error) {
	set, err := safetensors.Open(path)
	if err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	names := set.Names()
	if err := set.Close(); err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	for _, name := range names {
		if !slices.Contains(inputNames, name) {
			return nil, fmt.Errorf("probe: %s: tensor %q is no input of a causal language model, which takes %s; remove it", path, name, strings.Join(inputNames, ", "))
		}
	}
	return text.ReadBatch(path)
}
