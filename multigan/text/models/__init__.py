"""Generators and discriminators of token text."""
