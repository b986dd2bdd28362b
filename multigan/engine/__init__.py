"""Arithmetic only: no files, no printing, no domain."""
