"""Errors, settings, files, locks, signals, YAML, where the project lies; imports neither NumPy nor torch."""
