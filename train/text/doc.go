// Package text turns JSONL files into batches of token ids for language modelling: records become examples with a loss mask,
// examples become rows (one each, or several packed), rows become batches in an order that depends on the seed alone.
package text
