// Package layers builds the layers of neural networks as nodes of a graph. A layer is a plain struct with the parameters it owns
// under their Hugging Face names; Apply adds it to a graph. Linear maps and embeddings can carry an adapter, which replaces how
// they are applied. Model families live in the folders below.
package layers
