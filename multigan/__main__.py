"""Entry point of `python -m multigan`."""

from multigan.cli.app import run

run()
