// Package optim moves what training trains: points, update rules, and the optimizer that applies a rule to points.
//
// A training step reads
//
//	rule, err := optim.NewRule("adamw")           // fill its fields from the config
//	schedule, err := optim.NewSchedule("cosine", warmup, steps)
//	o, err := optim.New(rule, points, optim.Config{WeightDecay: 0.01, ClipGradNorm: 1})
//	for k := range steps {
//		... forward and backward leave the gradients in the points' tensors ...
//		stats, err := o.Step(lr * schedule(k))
//	}
//
// # Points
//
// A [Point] is a trainable as an element of its manifold, a named list of tensors with their gradients: [Euclidean] is a single
// tensor, [LowRank] the matrix B·A of a LoRA adapter. The backward pass owns the gradients, the optimizer reads them. A tensor
// without a gradient is frozen.
//
// # Rules
//
// A [Rule] is an update rule. Its fields are its hyperparameters, its memory of a point is a [State] of named arrays, and nothing
// else survives a step; so one mechanism saves and restores every rule bit for bit ([Optimizer.State], [Optimizer.Load]). To add a
// rule, write one file:
//
//   - a struct of hyperparameters with yaml tags;
//   - Split: PerTensor(p) for a Euclidean rule, p itself for the kinds of point whose geometry the rule respects;
//   - Init: the state's arrays; Step: the update, arithmetic in the order of the paper's pseudo-code;
//   - Defaults, and Validate where a hyperparameter can be out of range;
//   - Register in an init function, so that `optimizer: {name: ...}` in a config finds it;
//   - a test that runs package optimtest's suite on it, with the invariances it claims.
//
// The package example builds the Lion optimizer in this way.
//
// # Optimizer
//
// [New] binds a rule to points. It checks tensors, applies learning-rate and decay [Group] patterns, and makes the states;
// [Optimizer.Step] measures the gradients' global norm, refuses one that is not finite, clips, and lets the rule move each point.
// Results do not depend on the order of points (except for the last bits of the norm) nor on GOMAXPROCS.
package optim
