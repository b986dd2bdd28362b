"""The studio: a local page with sampling options and latent edits of a generator."""
