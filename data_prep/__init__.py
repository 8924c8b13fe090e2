"""One module per data set: raw files to the prepared format of `pplkit.data.dataset`."""

from data_prep.registry import prepared

__all__ = ["prepared"]
