"""Sampling options and long pieces."""
