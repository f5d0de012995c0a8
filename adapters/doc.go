// Package adapters puts trainable adapters onto a model: LoRA and DoRA on linear layers and embeddings, trained biases and whole
// modules beside them, and full fine-tuning. An [Adapter] hands the optimizer its points, saves and loads itself through package
// formats, and folds into the base weights with [Fuse].
//
// A type of adapter is a file with one attach function and a line in the table types; an initialisation is a file with one function
// and a line in the table inits.
package adapters
