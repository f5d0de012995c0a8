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
// The rules that come with the package, by what they do to a [LowRank] point and what their path does not depend on:
//
//	adamw, sgd, lora-plus   the factors as plain tensors; sgd: not on a rotation of the factors
//	muon                    the sign of each factor's momentum; not on a rotation of the factors, nor on the scale of the loss
//	scaled-adamw            Adam on preconditioned gradients; on the factors it depends
//	scaled-sgd, lora-pro    preconditioned and projected gradients; not on the factors, scaled-sgd up to its damping
//	lora-muon, lora-rite    signs and second moments in the other factor's metric; not on the factors, nor on the scale of the loss
//	lora-tsd                the direction of riemannion with a retraction on the factors; likewise
//	riemannion              Muon on the manifold of matrices of fixed rank; likewise
//	riemann-sgd             gradient descent there, if asked with Adam's normalisation; not on the factors
//	geolora                 riemann-sgd that chooses the rank; not on the factors
//	lora-pro-thin-adam      Adam on the elements of the Riemannian gradient; not on the factors, nor on the scale of the loss
//	loro                    AdamW on the factors with an exact Riemannian step now and then; on the factors it depends
//	stella, stiefel-lora    orthonormal factors and a core; they choose the factors at the start, and do not depend on those before
//
// "Not on the factors" means on none of the choices (B·Q, Q⁻¹·A) of the same X, momentum, decay and clipping included; tests hold that to
// 1e-12 in float64. Each rule's documentation has its formulas, source, state and cost.
//
// # Optimizer
//
// [New] binds a rule to points. It checks tensors, applies learning-rate and decay [Group] patterns, and makes the states;
// [Optimizer.Step] measures the gradients' global norm, refuses one that is not finite, clips, and lets the rule move each point.
// Results do not depend on the order of points (except for the last bits of the norm) nor on GOMAXPROCS.
package optim
