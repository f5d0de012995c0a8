package strictyaml_test

import (
	"fmt"

	"github.com/geotune/geotune/internal/strictyaml"
)

type optimizer struct {
	Name string  `yaml:"name"`
	LR   float64 `yaml:"lr"`
}

type config struct {
	Optimizer optimizer `yaml:"optimizer"`
	Rank      int       `yaml:"rank"`
}

func ExampleDecode() {
	c := config{Rank: 8}
	err := strictyaml.Decode("config.yaml", []byte("optimizer:\n  lrr: 1e-4\nrank: 8.5\n"), &c)
	fmt.Println(err)
	// Output:
	// config.yaml:2:3: optimizer.lrr: unknown key; did you mean lr?
	// config.yaml:3:7: rank: 8.5 is not an integer
}

func ExampleSet() {
	var c config
	fmt.Println(strictyaml.Set(&c, "optimizer.lr", "1e-4"), c.Optimizer.LR)
	// Output: <nil> 0.0001
}

func ExampleMarshal() {
	out, err := strictyaml.Marshal(config{Optimizer: optimizer{"adamw", 1e-4}, Rank: 8})
	fmt.Print(string(out), err)
	// Output:
	// optimizer:
	//   name: adamw
	//   lr: 1e-4
	// rank: 8
	// <nil>
}
