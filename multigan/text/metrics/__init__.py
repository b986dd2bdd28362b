"""Metrics and evaluation of text."""
