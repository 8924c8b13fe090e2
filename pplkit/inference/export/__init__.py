"""Poses and models for other programs."""
