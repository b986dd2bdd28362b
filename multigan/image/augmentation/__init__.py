"""Differentiable augmentation in front of the discriminator."""
