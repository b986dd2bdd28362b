"""The commands of multigan."""
