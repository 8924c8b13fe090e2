"""Mathematics of points and pictures' planes: coordinates, affine maps, link map, trajectories."""
