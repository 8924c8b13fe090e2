"""Errors, settings, files, locks, signals, YAML and the folder of the project; imports neither NumPy nor torch."""

from pplkit.core.errors import PplkitError
from pplkit.core.settings import Settings

__all__ = ["PplkitError", "Settings"]
