"""Contracts, recipes and serialization. Imports no other part of multigan."""
