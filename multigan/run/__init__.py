"""Everything that writes to a disk: no gradients."""
