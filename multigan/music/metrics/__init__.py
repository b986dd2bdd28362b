"""Metrics and evaluation of music."""
