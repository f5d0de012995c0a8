// Package tokenizer reads Hugging Face tokenizer.json files and gives the ids, pieces, character offsets and decoded texts that
// the Rust library `tokenizers` gives for them.
//
// A text passes through these stages, each an interface with its implementations in files of their own:
//
//	added.go          splits off added tokens such as <|endoftext|>
//	normalizer.go     normalizer     NFC, Sequence
//	pretokenizer.go   preTokenizer   ByteLevel, Digits, Split, Sequence
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
//
// Known differences from the Rust library: \p{L} and \p{N} follow Go's Unicode tables (15.0 in Go 1.26), so that about 5,000
// characters that came with later versions (CJK extension I, more hieroglyphs, new scripts) may be split otherwise; an added
// token that normalization changes decodes to its spelling in the file; regular expressions with \w, \b, class intersection and
// a few more constructs, which mean something else to Go's engines, are refused at load.
package tokenizer
