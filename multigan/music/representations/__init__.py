"""From songs to tensors, and back."""
