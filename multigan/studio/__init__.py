"""The studio: a local page on which a person moves latents and wishes, and gets samples at once."""
