"""Layers and networks that methods share; they know no method."""
