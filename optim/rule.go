package optim

// Rule is an update rule: how points move, given their gradients. Its exported fields are its hyperparameters, tagged for the
// config file, and it holds nothing else: whatever it remembers of a point lives in that point's State. One rule value therefore
// serves all points of a run, in any order or at once.
type Rule interface {
	// Defaults returns the learning rate and weight decay to use where the user names none.
	Defaults() Hyper
	// Split returns the points the rule wants to move in place of p: p itself if it knows p's manifold, otherwise PerTensor(p).
	// Groups, state and errors go by the names of these points.
	Split(p Point) []Point
	// Init returns the state of a point before the first step, and may bring the point into the form that the rule keeps it in.
	Init(p Point) (*State, error)
	// Step moves p by one step and brings s up to date. It reads gradients and writes values of p alone, and gives the same bits
	// for any GOMAXPROCS.
	Step(p Point, s *State, h Hyper) error
}

// Hyper holds the settings of one step of one point, after the schedule and the groups.
type Hyper struct {
	// Step counts the optimizer's steps from 1. A rule that corrects for its start counts in its State instead: a point that was
	// thawed late starts later.
	Step int64
	// LR is the learning rate, WeightDecay the decay coefficient; what is decayed and how is the rule's own definition.
	LR, WeightDecay float64
}

// Validator is implemented by rules with hyperparameters that can be out of range. New calls it; a config reader may do so earlier.
type Validator interface {
	Validate() error
}

// TangentNormer is implemented by rules for which a gradient's length is not that of the tensors' gradients, such as the length of
// a tangent vector whatever the factors in which its point is stored. Clipping then is as invariant as the rule. The length is measured
// before every step, also without clipping; for a LowRank point that takes about 10·(out+in)·r² operations beside the rule's own.
type TangentNormer interface {
	// SquaredNorm returns the squared length of p's gradient; it is not finite if the gradient is not. It is asked for points of several
	// tensors only.
	SquaredNorm(p Point, s *State) float64
}

// StepLengther is implemented by rules whose steps have a length that is known beforehand.
type StepLengther interface {
	// StepLength returns about how far a step at learning rate lr moves the update X = Scale·B·A of p in the spectral norm.
	StepLength(p *LowRank, lr float64) float64
}

var rules = newRegistry[func() Rule]("optimizer")

// Register makes a rule available under a name in config files. newRule returns the rule with its default hyperparameters. It is
// meant for package initialisation and panics if the name is taken.
func Register(name string, newRule func() Rule) { rules.add(name, newRule) }

// NewRule returns a new rule of the registered name with its default hyperparameters. The error for an unknown name lists the known
// ones.
func NewRule(name string) (Rule, error) {
	newRule, err := rules.get(name)
	if err != nil {
		return nil, err
	}
	return newRule(), nil
}

// Names returns the names of the registered rules in lexical order.
func Names() []string { return rules.names() }
