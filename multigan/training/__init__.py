"""The loop that drives the engine and writes a run."""
