"""The methods, a folder each, and the layers that they share."""
