// Package tokenizer reads Hugging Face tokenizer.json files and gives the ids, pieces, character offsets and decoded texts that
// the Rust library `tokenizers` gives for them.
//
// A text passes through these stages, each an interface with its implementations in files of their own:
//
//	added.go          splits off added tokens such as <|endoftext|>
//	normalizer.go     normalizer     NFC, Sequence
//	pretokenizer.go   preTokenizer   ByteLevel, Split, Sequence
//	model.go          model          BPE
//	postprocessor.go  postProcessor  ByteLevel, RobertaProcessing, TemplateProcessing, Sequence
//	decoder.go        decoder        ByteLevel (the way back)
//
// A stage is added by one file that registers its constructor under the "type" that tokenizer.json gives it. A file that needs
// a stage that is not built is refused by [Load]. The file's truncation and padding sections are ignored, as the Python
// library's calls override them.
//
// Text that is not valid UTF-8 is read as Python's bytes.decode("utf-8", "replace") reads it: U+FFFD stands for each maximal
// ill-formed part; offsets then count the characters of the replaced text.
package tokenizer
