"""The version of this package, for files that record it; `hatch` reads it here."""

__version__ = "0.2.0"
