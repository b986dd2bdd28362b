"""Audio, spectrograms and plots of songs."""
