"""Mathematics of points and image planes: coordinates, affine maps, cameras, link map, trajectories."""

from pplkit.geometry.coordinates import apply_affine, to_pixels, to_unit
from pplkit.geometry.link_map import link_map
from pplkit.geometry.trajectories import smooth

__all__ = ["apply_affine", "link_map", "smooth", "to_pixels", "to_unit"]
