package cpu

// machineLevels returns the levels that this machine has, weakest first. NEON is part of every arm64 processor that Go supports.
func machineLevels() []level { return []level{generic, neon} }
