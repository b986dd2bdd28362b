"""Tokenizers and word splitting."""
