"""Metrics and evaluation of images."""
