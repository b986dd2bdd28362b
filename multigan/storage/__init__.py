"""Files, weights, checkpoints on disk, memory limits and loading."""
