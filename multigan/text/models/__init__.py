"""Text generators and discriminators."""
