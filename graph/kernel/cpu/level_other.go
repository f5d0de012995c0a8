//go:build !amd64

package cpu

func bestLevel() level { return generic }
