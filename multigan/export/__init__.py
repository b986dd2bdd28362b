"""Export of generators: weights, programs and model cards."""
