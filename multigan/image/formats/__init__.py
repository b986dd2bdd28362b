"""From bytes to pixel arrays."""
