"""Errors, settings, files, locks, signals, YAML and the folder of the project; imports neither NumPy nor torch."""
