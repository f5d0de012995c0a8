package train

// Task is what a run learns: it deals out micro-batches and turns them into losses and gradients.
type Task interface {
	// Next returns the next micro-batch of the training data, which it repeats for ever. The batch is valid until Next is called
	// as often as the task was told at construction.
	Next() Batch
	// Position marks the micro-batch that Next will return; Seek goes back to a mark.
	Position() Position
	Seek(Position) error
	// Fingerprint identifies data and order, so that a checkpoint is not continued on other data.
	Fingerprint() string
	// Accumulate adds scale times the gradient of the batch's summed loss to the gradients of all trainables and returns the
	// summed loss. The summed loss divided by the targets of all micro-batches is what a step minimises.
	Accumulate(b Batch, at Moment, scale float32) (lossSum float64, err error)
	// Evaluate returns the mean loss over the held-out data.
	Evaluate() (Evaluation, error)
}

// Batch is a micro-batch.
type Batch interface {
	// Targets is what the batch counts for in the mean loss: predicted tokens, or images.
	Targets() int
	// Items is what a user counts: tokens or images put through the model.
	Items() int
	// Epoch counts passes over the data from 0.
	Epoch() int
}

// Moment identifies a micro-batch in a run. It keys the random numbers of dropout and noise, so that a replay draws the same.
type Moment struct{ Step, Micro int }

// Position is a place in the training data.
type Position struct {
	Epoch int `json:"epoch"`
	Batch int `json:"batch"`
}

// Evaluation is the outcome on held-out data.
type Evaluation struct {
	Loss    float64 // mean over targets
	Targets int
}
