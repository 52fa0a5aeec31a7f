"""Where numbers come from: random streams, laws of the inputs, ground truths, batches and their moments."""
