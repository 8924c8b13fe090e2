"""Figures, and poses drawn over videos."""
