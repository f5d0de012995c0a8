package kernel

import "fmt"

// operand says what a kernel takes as an input, for checks in Plan.
type operand struct {
	name string
	kind operandKind
}

// operandKind tells which storage types an input may have.
type operandKind uint8

const (
	activation operandKind = iota // F32
	stored                        // a weight: F32, BF16 or F16
	integer                       // I32
)

// accepts reports whether an input of this kind may be stored as d.
func (k operandKind) accepts(d DType) bool {
	switch k {
	case activation:
		return d == F32
	case stored:
		return d == F32 || d == BF16 || d == F16
	}
	return d == I32
}

// String names the accepted storage types.
func (k operandKind) String() string {
	return [...]string{activation: "F32", stored: "F32, BF16 or F16", integer: "I32"}[k]
}

// checkOperands reports a wrong number of inputs, a wrong storage type, or a gradient wanted for an input that is not F32.
func checkOperands(kernel string, in []Spec, need []bool, want ...operand) error {
	if len(in) != len(want) || len(need) != len(in) {
		names := make([]string, len(want))
		for i, o := range want {
			names[i] = o.name
		}
		return fmt.Errorf("%s: %d inputs and %d gradient flags; expected %d: %v", kernel, len(in), len(need), len(want), names)
	}
	for i, o := range want {
		if !o.kind.accepts(in[i].DType) {
			return fmt.Errorf("%s: %s is %v; expected %v", kernel, o.name, in[i].DType, o.kind)
		}
		if need[i] && in[i].DType != F32 {
			return fmt.Errorf("%s: gradient wanted for %s, which is %v; only F32 inputs have gradients", kernel, o.name, in[i].DType)
		}
	}
	return nil
}

// anyOf reports whether a flag is set.
func anyOf(flags []bool) bool {
	for _, f := range flags {
		if f {
			return true
		}
	}
	return false
}
