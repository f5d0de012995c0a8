// Package train runs a training from a config file to a finished adapter: the loop, evaluation, checkpoints that continue bit for
// bit, metrics and reports. What is learnt from which data is a Task; how parameters move is package optim.
package train
