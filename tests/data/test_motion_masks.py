"""What moves before a standing camera, and nothing where the camera moves or nothing does."""

import numpy as np
import pytest
from discs import SIZE, film

from pplkit.data.motion_masks import SIDE, moving, stands


def true_disc(frames: int = 16, radius: float = 6.0, way: float = 18.0) -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE]
    angles = 2 * np.pi * np.arange(frames) / frames
    return np.stack([np.hypot(x - 32 - way * np.cos(a), y - 32 - way * np.sin(a)) < radius for a in angles])


@pytest.mark.parametrize("seed", range(3))
def test_what_moves_before_a_standing_camera_is_found(seed: int) -> None:
    masks = moving(film(seed))
    assert masks is not None and masks.shape == (16, SIDE, SIDE) and set(np.unique(masks)) == {0, 255}
    both = ((masks > 127) & true_disc()).sum()
    assert both > 0.9 * true_disc().sum() and both > 0.6 * (masks > 127).sum()


@pytest.mark.parametrize("pan", [0.1, 0.4, 1.0, 5.0])
def test_a_moving_camera_gives_nothing_rather_than_something_wrong(pan: float) -> None:
    assert moving(film(0, pan=pan)) is None


def test_what_tells_nothing() -> None:
    """Too few frames, an object that rests or breathes, black pictures, an empty scene, noise."""
    assert moving(film(0)[:5]) is None
    for way in (0.0, 0.2, 1.0, 2.0):
        assert moving(film(0, way=way)) is None
    assert moving(np.zeros((8, 64, 64, 3), np.uint8)) is None
    assert moving(film(0, radius=-9.0)) is None
    assert moving(np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3)).astype(np.uint8)) is None


@pytest.mark.parametrize("radius", [6.0, 9.0, 14.0])
def test_small_frames_are_enough_to_see_a_camera_stand(radius: float) -> None:
    """Large objects in small frames, whose own motion a camera's could be mistaken for."""
    for pan, standing in ((0.0, True), (0.4, False)):
        frames = film(0, radius=radius, pan=pan)[:, ::2, ::2].astype(np.float32) / 255
        assert stands(frames) == standing
