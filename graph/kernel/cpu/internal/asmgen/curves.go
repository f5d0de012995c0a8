package main

import "github.com/mmcloughlin/avo/build"

func curves(c *build.Context) {}
