"""The command line."""

from pplkit.cli.main import main

__all__ = ["main"]
