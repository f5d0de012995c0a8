// Command geotune trains adapters of language models, and uses what it has trained. `geotune --help` lists its commands.
package main

import "os"

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
