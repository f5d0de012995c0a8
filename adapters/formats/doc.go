// Package formats reads and writes adapter files: PEFT directories, single safetensors files with PEFT's keys, and plain weights.
// It knows files only; package adapters puts their content onto a model.
//
// Reading is strict. A key of adapter_config.json that geotune does not know is accepted only while it says nothing (null, false,
// 0 or empty), a tensor that belongs to no setting is an error, and so is a setting without its tensors: a file from a newer PEFT
// either means here what it means there or is refused by name.
package formats
