"""The command line."""

from aeclust.cli.entry import main

__all__ = ["main"]
