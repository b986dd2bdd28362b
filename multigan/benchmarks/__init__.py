"""Networks, datasets and evaluations that only the recipes of `recipes/benchmarks` use."""
