"""Contents of a run directory: options, checkpoints, logs, evaluation results."""
