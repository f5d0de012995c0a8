package tokenizer_test

import (
	"fmt"
	"log"
	"os"
	"slices"
	"strings"

	"github.com/geotune/geotune/train/text/tokenizer"
)

var exampleTexts = slices.Values([]string{"the cat and the hat", "the end of the cat"})

func Example() {
	data, err := tokenizer.TrainBPE(exampleTexts, tokenizer.TrainOptions{VocabSize: 264, Specials: []string{"<|endoftext|>"}})
	if err != nil {
		log.Fatal(err)
	}
	tok, err := tokenizer.New(data)
	if err != nil {
		log.Fatal(err)
	}
	e := tok.Encode("the café<|endoftext|>", true)
	for i, piece := range e.Pieces {
		fmt.Printf("%s %v\n", piece, e.Offsets[i])
	}
	fmt.Println(tok.Decode(e.IDs, true))
	// Output:
	// the [0 3]
	// Ġ [3 4]
	// c [4 5]
	// a [5 6]
	// f [6 7]
	// Ã [7 8]
	// © [7 8]
	// <|endoftext|> [8 21]
	// the café
}

func ExampleTokenizer_NewStream() {
	data, err := tokenizer.TrainBPE(exampleTexts, tokenizer.TrainOptions{VocabSize: 260})
	if err != nil {
		log.Fatal(err)
	}
	tok, err := tokenizer.New(data)
	if err != nil {
		log.Fatal(err)
	}
	s := tok.NewStream()
	for _, id := range tok.Encode("hé!", false).IDs {
		fmt.Printf("%q ", s.Push(id))
	}
	fmt.Printf("%q\n", s.Flush())
	// Output: "h" "" "é" "!" ""
}

func ExampleWriteJSONL() {
	data, err := tokenizer.TrainBPE(exampleTexts, tokenizer.TrainOptions{VocabSize: 260})
	if err != nil {
		log.Fatal(err)
	}
	tok, err := tokenizer.New(data)
	if err != nil {
		log.Fatal(err)
	}
	if err := tokenizer.WriteJSONL(strings.NewReader(`{"text": "the hat"}`), os.Stdout, tok); err != nil {
		log.Fatal(err)
	}
	// Output: {"ids":[257,220,71,258],"offsets":[[0,3],[3,4],[4,5],[5,7]],"pieces":["the","Ġ","h","at"]}
}
