"""Training a character model: recipe, readings, targets, the Trainer, checkpoints, the run, and its evaluation."""
