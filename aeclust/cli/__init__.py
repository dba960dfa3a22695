"""The command line."""

from aeclust.cli.commands import main

__all__ = ["main"]
