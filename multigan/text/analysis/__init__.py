"""Comparisons of text generators with their likelihood baselines."""
