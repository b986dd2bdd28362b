"""Generators and discriminators of piano-rolls."""
