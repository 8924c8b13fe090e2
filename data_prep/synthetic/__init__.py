"""Puppets and the scenes they stand in, with exact ground truth."""
