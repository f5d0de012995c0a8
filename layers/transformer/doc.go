// Package transformer builds causal language models from Hugging Face directories: config.json says which family and which sizes,
// safetensors files hold the weights. Module and tensor names are those of transformers, which adapters rely on.
//
// Each family is one file and one line in the table of families. What a config asks for is honoured exactly or refused with an
// error that names the field; the exception is dropout inside the base model, which is never applied.
//
// Model.Forward adds a model to a graph for training or evaluation; Generator continues text with a cache of keys and values.
package transformer
