// Package compare trains several variants of a run (optimizers, adapter types, initialisations) on the same model, data and order of
// batches, tunes the learning rate of each in the same way, and reports what came out: a table as text, CSV and JSON, and a page with
// curves.
//
// Every run is an ordinary one of package train/run in a folder of its own, out/runs/VARIANT/lr-X/seed-Y. Runs that are finished are
// recognised by what lies there, interrupted ones continue, and a run that was made by another config is refused.
package compare
