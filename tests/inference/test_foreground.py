"""Where the object is, without labels: films whose camera stands, and ones whose does not; borders; models."""

from typing import Any

import numpy as np
import pytest
import torch
from discs import SIZE, Placing, film, in_corners, on_disc, split
from scipy import ndimage

from pplkit.core.errors import PplkitError
from pplkit.data.dataset import Dataset
from pplkit.data.motion_masks import SIDE, moving, stands
from pplkit.inference import foreground as foregrounds
from pplkit.inference.foreground import by_border, by_masks, by_model, by_motion, find, foreground_share, sampled

needs_weights = pytest.mark.skipif(foregrounds.bordered(np.zeros((1, 8, 8, 3), np.uint8)) is None, reason="no weights")


def true_disc(frames: int = 16, radius: float = 6.0, way: float = 18.0) -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE]
    angles = 2 * np.pi * np.arange(frames) / frames
    return np.stack([np.hypot(x - 32 - way * np.cos(a), y - 32 - way * np.sin(a)) < radius for a in angles])


@pytest.mark.parametrize("seed", range(3))
def test_what_moves_before_a_standing_camera_is_found(seed: int) -> None:
    found = moving(film(seed))
    assert found is not None and found.shape == (16, SIDE, SIDE) and set(np.unique(found)) == {0, 255}
    both = ((found > 127) & true_disc()).sum()
    assert both > 0.9 * true_disc().sum() and both > 0.6 * (found > 127).sum()


@pytest.mark.parametrize("pan", [0.1, 0.4, 1.0, 5.0])
def test_a_moving_camera_gives_nothing_rather_than_something_wrong(pan: float) -> None:
    frames = film(0, pan=pan)
    assert moving(frames) is None
    assert by_motion(split(np.concatenate([frames] * 3))) is None


def test_what_tells_nothing() -> None:
    """Too few frames, an object that rests or breathes, black pictures, an empty scene, noise."""
    assert moving(film(0)[:5]) is None
    for way in (0.0, 0.2, 1.0, 2.0):
        assert moving(film(0, way=way)) is None
    assert moving(np.zeros((8, 64, 64, 3), np.uint8)) is None
    assert moving(film(0, radius=-9.0)) is None
    assert moving(np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3)).astype(np.uint8)) is None


def test_frames_without_an_object_are_left_out_and_videos_without_one_do_not_count() -> None:
    empty = film(1, radius=-9.0)
    frames = np.concatenate([film(1)[:9], empty[9:]])
    found = by_motion(split(np.concatenate([frames, film(2)])))
    assert found is not None and found.by == "motion"
    assert not set(found.rows) & set(range(10, 16)) and set(range(16, 32)) <= set(found.rows)
    moved = [film(seed, pan=2.0) for seed in range(3)]
    assert by_motion(split(np.concatenate([film(0), *moved]))) is None  # a quarter of the videos
    found = by_motion(split(np.concatenate([film(0), *moved[:2]])))
    assert found is not None and found.rows.max() < 16


@pytest.mark.parametrize("radius", [6.0, 9.0, 14.0])
def test_small_frames_are_enough_to_see_a_camera_stand(radius: float) -> None:
    """Large objects in small frames, whose own motion a camera's could be mistaken for."""
    for pan, standing in ((0.0, True), (0.4, False)):
        frames = film(0, radius=radius, pan=pan)[:, ::2, ::2].astype(np.float32) / 255
        assert stands(frames) == standing


def test_which_images_are_looked_at() -> None:
    images = np.zeros((40, 4, 4, 3), np.uint8)
    assert [len(one) for one in sampled(split(images, 20), 64)] == [20, 20]
    assert [one.tolist() for one in sampled(split(images, 4), 8)] == [[0, 1, 2, 3], [36, 37, 38, 39]]
    assert [one.tolist() for one in sampled(split(images, None), 3)] == [[0, 20, 39]]
    assert len(sampled(split(images, 40), 16)[0]) == 16


def test_shares_by_hand() -> None:
    """Half of the cells are object; three of four points on them. What moves reaches two cells farther."""
    masks = np.zeros((1, SIDE, SIDE), np.uint8)
    masks[:, :, : SIDE // 2] = 255
    points = np.array([[[-0.5, 0.0], [-0.9, 0.9], [-0.1, 0.0], [0.03, 0.0]]])
    given = foregrounds.Foreground(np.arange(1), masks, "masks")
    assert given.shares(points) == (0.75, 0.5)
    assert given._replace(by="motion").shares(points) == (1.0, 0.5 + 2 / SIDE)


def test_masks_come_first_and_a_data_set_of_them_is_read(puppets: Dataset) -> None:
    found = find(puppets["train"])
    assert found is not None and found.by == "masks" and len(found.rows) == 20
    truth = (np.asarray(puppets["train"].masks) > 127).mean()
    assert (found.masks > 127).mean() == pytest.approx(truth)
    assert by_masks(split(film(0))) is None


def looking(probabilities: torch.Tensor) -> Any:
    """A model whose backbone calls object what these maps say."""
    model: Any = Placing(on_disc)
    model.backbone = model  # there is one, and no other than that whose limit was measured
    model.sight = lambda images: images
    model.find_object = lambda images: probabilities[: len(images)]
    return model


def test_what_a_model_calls_object() -> None:
    maps = torch.zeros(3, 8, 8)
    maps[:2, 2:6, 2:6] = 1
    found = by_model(looking(maps), film(0)[:3])
    assert found is not None and found.by == "model"
    assert found.rows.tolist() == [0, 1]  # nothing is object in the last one
    assert (found.masks > 127).mean() == pytest.approx(1 / 4, abs=0.03)
    assert by_model(looking(0 * maps), film(0)[:3]) is None
    without: Any = Placing(on_disc)
    assert by_model(without, film(0)[:3]) is None


def test_motion_comes_before_a_model_that_was_trained_by_its_own_answer() -> None:
    everything = torch.ones(64, 8, 8)
    told = find(split(film(0)), looking(everything))
    assert told is not None and told.by == "motion"
    told = find(split(film(0, pan=2.0)), looking(everything))
    assert told is not None and told.by == "model" and told.rows.tolist() == list(range(16))


def test_a_missing_package_leaves_the_number_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses() -> None:
        raise PplkitError("the weights are missing")

    monkeypatch.setattr(foregrounds, "_network", refuses)
    frames = film(0, pan=2.0)
    assert by_border(frames) is None and find(split(frames)) is None and find(split(frames, None)) is None
    model: Any = Placing(on_disc)
    assert foreground_share(model, frames) is None


@needs_weights
def test_what_differs_from_the_border() -> None:
    """A disc that is always in the middle, which motion does not tell; nothing in noise, and in one colour."""
    frames = np.concatenate([film(seed, 2, radius=12.0, way=2.0) for seed in range(6)])
    found = by_border(frames)
    assert found is not None and found.by == "border" and len(found.rows) >= 6
    inner = np.stack([ndimage.binary_erosion(one, iterations=3) for one in true_disc(2, 12.0, 2.0)])[found.rows % 2]
    assert (found.masks > 127)[inner].mean() > 0.8
    assert (found.masks > 127)[:, 0].mean() < 0.1
    noise = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3)).astype(np.uint8)
    assert by_border(noise) is None
    assert by_border(np.full((4, 64, 64, 3), 7, np.uint8)) is None


@needs_weights
def test_the_share_on_the_object_for_tracks() -> None:
    frames = np.concatenate([film(seed, 2, radius=12.0, way=2.0) for seed in range(6)])
    good: Any = Placing(on_disc)
    bad: Any = Placing(in_corners)
    on, off = foreground_share(good, frames), foreground_share(bad, frames)
    assert on is not None and off is not None and on > 0.9 and off < 0.1
    points = good.estimate(frames).keypoints.numpy()
    assert foreground_share(bad, frames, points) == on


def test_the_share_by_a_models_own_eyes_and_by_what_moves() -> None:
    maps = torch.zeros(64, 8, 8)
    maps[:, :, :4] = 1
    points = np.tile([[-0.5, 0.0], [0.5, 0.0], [-0.4, 0.2]], (80, 1, 1))
    assert foreground_share(looking(maps), film(0, 80, pan=1.0), points) == pytest.approx(2 / 3)
    share = foreground_share(looking(maps), film(0, 80), points)
    assert share is not None and 0.1 < share < 0.5  # the disc passes by
    on = looking(maps).estimate(film(0, 80)).keypoints.numpy()
    assert foreground_share(looking(maps), film(0, 80), on) == 1
    assert foreground_share(looking(maps), film(0)[:0]) is None
