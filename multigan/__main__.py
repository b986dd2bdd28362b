"""`python -m multigan`."""

from multigan.cli import run

run()
