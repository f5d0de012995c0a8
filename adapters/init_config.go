package adapters

import (
	"fmt"
	"math"

	"github.com/geotune/geotune/optim/manifold"
)

// Init says how an adapter starts, at an update X0 = scale·B·A. Settings that do not belong to the initialisation of that name are
// refused; the zero value of a field stands for its default.
type Init struct {
	// Name is one of
	//
	//	default       A uniform, B zero
	//	gaussian      A normal, B zero
	//	orthogonal    both factors random with a product of 0, as PEFT does
	//	stiefel_a     A with random orthonormal rows, B zero
	//	stiefel_b     B with random orthonormal columns, A zero
	//	stiefel_both  both random orthonormal, all singular values of X0 equal
	//	pissa         from the largest singular values of the weight
	//	milora        from the smallest singular values of the weight
	//	olora         from the QR decomposition of the weight
	//	loi           locally optimal: from the gradient, such that the first step is the best of rank 2r
	//	lora_ga       from the gradient, LoRA-GA as PEFT defines it
	//	lora_one      from the gradient, LoRA-One: one step along its best approximation of rank r
	//
	// The last three take the gradient at the base weights from a few passes over the first training batches.
	Name string `yaml:"name"`
	// Base says what makes up for an X0 other than 0, so that the model's function stays as it is at the start; lora_one alone lets
	// it change. "carried" keeps the weight W as it is and takes X0 out of the output, exactly; the trained adapter is saved with twice
	// the rank, as X - X0, for the unmodified base. "modified" takes X0 out of the weight, rounded to the type it is stored in; the saved
	// adapter then belongs to that weight. PEFT redoes it on loading pissa and olora, for which it is the default; for the others the
	// run writes the modified base model beside the adapter.
	Base string `yaml:"base,omitzero"`
	// Scale gives the singular values of X0 in loi and stiefel_both: scale/√rank. The defaults are -0.01 and 0.01; of loi, 0.01 to 1 is the
	// range in use, and the sign has no effect on the subspaces.
	Scale float64 `yaml:"scale,omitzero"`
	// Gamma divides X0: by √gamma in lora_ga (default 16) and by gamma in lora_one (default 128).
	Gamma float64 `yaml:"gamma,omitzero"`
	// Oversample is the number of directions that the randomised SVD of the gradient follows besides the wanted ones, default 16; Power
	// the number q of its power iterations, default 1. It takes 2·(q+1) passes.
	Oversample int  `yaml:"oversample,omitzero"`
	Power      *int `yaml:"power,omitzero"`
	// Batches is how many micro-batches of training data make up the one batch whose gradient is taken; the default is those of one
	// optimizer step.
	Batches int `yaml:"batches,omitzero"`
	// Seed fixes the random values; the default is the run's seed.
	Seed *uint64 `yaml:"seed,omitzero"`
}

// The values of Init.Base.
const (
	BaseCarried  = "carried"
	BaseModified = "modified"
)

// withDefaults fills in what the initialisation of that name leaves open.
func (i Init) withDefaults() Init {
	if i.Name == "" {
		i.Name = defaultInit
	}
	d := inits[i.Name].defaults
	if i.Base == "" {
		i.Base = d.Base
	}
	if i.Scale == 0 {
		i.Scale = d.Scale
	}
	if i.Gamma == 0 {
		i.Gamma = d.Gamma
	}
	if i.Oversample == 0 {
		i.Oversample = d.Oversample
	}
	if i.Power == nil {
		i.Power = d.Power
	}
	return i
}

// validate checks the settings; i has its defaults.
func (i Init) validate(c Config) error {
	init, err := initByName(i.Name)
	if err != nil {
		return err
	}
	for _, k := range []struct {
		key          string
		set, applies bool
		wrong        bool
		want         string
	}{
		{"base", i.Base != "", init.defaults.Base != "", i.Base != BaseCarried && i.Base != BaseModified, "carried or modified"},
		{"scale", i.Scale != 0, init.defaults.Scale != 0, math.IsNaN(i.Scale) || math.IsInf(i.Scale, 0), "a finite number"},
		{"gamma", i.Gamma != 0, init.defaults.Gamma != 0, !(i.Gamma > 0) || math.IsInf(i.Gamma, 0), "a positive number"},
		{"oversample", i.Oversample != 0, init.gradient != nil, i.Oversample < 1 || i.Oversample > 1<<12, "1 to 4096"},
		{"power", i.Power != nil, init.gradient != nil, i.Power != nil && (*i.Power < 0 || *i.Power > 100), "0 to 100"},
		{"batches", i.Batches != 0, init.gradient != nil, i.Batches < 0, "at least 1"},
		{"seed", i.Seed != nil, !init.fromWeight, false, ""},
	} {
		switch {
		case k.set && !k.applies:
			return fmt.Errorf("init.%s has no meaning for init %s; remove it", k.key, i.Name)
		case k.set && k.wrong:
			return fmt.Errorf("init.%s is out of range; expected %s", k.key, k.want)
		}
	}
	switch {
	case c.Type == typeDoRA && init.gradient != nil:
		return fmt.Errorf("init %s goes with type lora; DoRA's magnitudes have gradients of their own", i.Name)
	case c.Type == typeDoRA && i.Base == BaseCarried:
		return fmt.Errorf("init %s with base carried goes with type lora; with dora set init.base to modified", i.Name)
	}
	return nil
}

// isZero reports whether nothing is set.
func (i Init) isZero() bool { return i == Init{} }

// offset reports whether the model may start at an X0 other than 0.
func (i Init) offset() bool { return i.Base != "" || i.FromGradient() }

// FromGradient reports whether the initialisation needs the gradient at the base weights; see Adapter.StartFromGradient.
func (i Init) FromGradient() bool { return inits[i.Name].gradient != nil }

// Passes returns how often an initialisation from the gradient goes forward and backward through its batch.
func (i Init) Passes() int { return manifold.RSVD{Power: *i.Power}.Passes() }

// Sigma returns the singular values that X0 has at the given rank, 0 for an initialisation that does not set them by Scale.
func (i Init) Sigma(rank int) float64 { return math.Abs(i.Scale) / math.Sqrt(float64(rank)) }

// peft returns the name in PEFT's init_lora_weights of what makes PEFT load the saved adapter right.
func (i Init) peft() string {
	if name := inits[i.Name].peft; name != "" && i.Base != BaseCarried {
		return name
	}
	return defaultInit
}
