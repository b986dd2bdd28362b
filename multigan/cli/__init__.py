"""The command line of multigan."""
