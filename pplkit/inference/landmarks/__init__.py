"""Named points from a handful of labelled images."""
