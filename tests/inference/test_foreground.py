"""Where the object is, without labels: films whose camera stands, and ones whose does not; borders; models."""

from typing import Any

import numpy as np
import pytest
import torch
from discs import SIZE, Placing, film, in_corners, on_disc, split

from pplkit.core.errors import PplkitError
from pplkit.data.dataset import Dataset
from pplkit.data.motion_masks import SIDE
from pplkit.inference import foreground as foregrounds
from pplkit.inference.foreground import (
    by_border,
    by_masks,
    by_model,
    by_motion,
    find_foreground,
    foreground_fraction,
    sample,
)
from pplkit.models.layers import saliency

needs_weights = pytest.mark.skipif(
    foregrounds.frozen_features(np.zeros((1, 8, 8, 3), np.uint8)) is None, reason="no weights"
)


def test_frames_without_an_object_are_left_out_and_videos_without_one_do_not_count() -> None:
    empty = film(1, radius=-9.0)
    frames = np.concatenate([film(1)[:9], empty[9:]])
    foreground = by_motion(split(np.concatenate([frames, film(2)])))
    assert foreground is not None and foreground.by == "motion"
    assert not set(foreground.rows) & set(range(10, 16)) and set(range(16, 32)) <= set(foreground.rows)
    moved = [film(seed, pan=2.0) for seed in range(3)]
    assert by_motion(split(np.concatenate(moved))) is None
    assert by_motion(split(np.concatenate([film(0), *moved]))) is None  # a quarter of the videos
    foreground = by_motion(split(np.concatenate([film(0), *moved[:2]])))
    assert foreground is not None and foreground.rows.max() < 16


def test_images_are_evenly_spaced_in_videos_and_splits() -> None:
    images = np.zeros((40, 4, 4, 3), np.uint8)
    assert [len(one) for one in sample(split(images, 20), 64)] == [20, 20]
    assert [one.tolist() for one in sample(split(images, 4), 8)] == [[0, 1, 2, 3], [36, 37, 38, 39]]
    assert [one.tolist() for one in sample(split(images, None), 3)] == [[0, 20, 39]]
    assert len(sample(split(images, 40), 16)[0]) == 16


def test_shares_by_hand() -> None:
    """Half of the cells are object; three of four points on them. What moves reaches two cells farther."""
    masks = np.zeros((1, SIDE, SIDE), np.uint8)
    masks[:, :, : SIDE // 2] = 255
    points = np.array([[[-0.5, 0.0], [-0.9, 0.9], [-0.1, 0.0], [0.03, 0.0]]])
    foreground = foregrounds.Foreground(np.arange(1), masks, "masks")
    assert foreground.fractions(points) == (0.75, 0.5)
    assert foreground._replace(by="motion").fractions(points) == (1.0, 0.5 + 2 / SIDE)


def test_masks_come_first_and_a_data_set_of_them_is_read(puppets: Dataset) -> None:
    foreground = find_foreground(puppets["train"])
    assert foreground is not None and foreground.by == "masks" and len(foreground.rows) == 20
    truth = (np.asarray(puppets["train"].masks) > 127).mean()
    assert (foreground.masks > 127).mean() == pytest.approx(truth)
    assert by_masks(split(film(0))) is None


def looking(probabilities: torch.Tensor) -> Any:
    """A model whose backbone calls object what these maps say."""
    model: Any = Placing(on_disc)
    model.backbone = model  # there is one, and no other than that whose limit was measured
    model.regressor_input = lambda images: images
    model.find_object = lambda images: probabilities[: len(images)]
    return model


def test_what_a_model_calls_object() -> None:
    maps = torch.zeros(3, 8, 8)
    maps[:2, 2:6, 2:6] = 1
    foreground = by_model(looking(maps), film(0)[:3])
    assert foreground is not None and foreground.by == "model"
    assert foreground.rows.tolist() == [0, 1]  # nothing is object in the last one
    assert (foreground.masks > 127).mean() == pytest.approx(1 / 4, abs=0.03)
    assert by_model(looking(0 * maps), film(0)[:3]) is None
    without: Any = Placing(on_disc)
    assert by_model(without, film(0)[:3]) is None


def test_motion_comes_before_a_model_that_was_trained_by_its_own_answer() -> None:
    everything = torch.ones(64, 8, 8)
    foreground = find_foreground(split(film(0)), looking(everything))
    assert foreground is not None and foreground.by == "motion"
    foreground = find_foreground(split(film(0, pan=2.0)), looking(everything))
    assert foreground is not None and foreground.by == "model" and foreground.rows.tolist() == list(range(16))


def test_a_missing_package_leaves_the_number_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses() -> None:
        raise PplkitError("the weights are missing")

    monkeypatch.setattr(saliency, "network", refuses)
    frames = film(0, pan=2.0)
    assert (
        by_border(frames) is None
        and find_foreground(split(frames)) is None
        and find_foreground(split(frames, None)) is None
    )
    model: Any = Placing(on_disc)
    assert foreground_fraction(model, frames) is None


@needs_weights
def test_what_differs_from_the_border() -> None:
    """A disc that is always in the middle, which motion does not tell; nothing in noise, and in one colour."""
    frames = np.concatenate([film(seed, 2, radius=12.0, way=2.0) for seed in range(6)])
    foreground = by_border(frames)
    assert foreground is not None and foreground.by == "border" and len(foreground.rows) >= 6
    y, x = np.mgrid[:SIZE, :SIZE]
    inner = [np.hypot(x - (34, 30)[k % 2], y - 32) < 9 for k in foreground.rows]
    assert (foreground.masks > 127)[np.stack(inner)].mean() > 0.8
    assert (foreground.masks > 127)[:, 0].mean() < 0.1
    noise = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3)).astype(np.uint8)
    assert by_border(noise) is None
    assert by_border(np.full((4, 64, 64, 3), 7, np.uint8)) is None


@needs_weights
def test_the_share_on_the_object_for_tracks() -> None:
    frames = np.concatenate([film(seed, 2, radius=12.0, way=2.0) for seed in range(6)])
    good: Any = Placing(on_disc)
    bad: Any = Placing(in_corners)
    on, off = foreground_fraction(good, frames), foreground_fraction(bad, frames)
    assert on is not None and off is not None and on > 0.9 and off < 0.1
    points = good.estimate(frames).keypoints.numpy()
    assert foreground_fraction(bad, frames, points) == on


def test_the_share_by_a_models_own_eyes_and_by_what_moves() -> None:
    maps = torch.zeros(64, 8, 8)
    maps[:, :, :4] = 1
    points = np.tile([[-0.5, 0.0], [0.5, 0.0], [-0.4, 0.2]], (80, 1, 1))
    assert foreground_fraction(looking(maps), film(0, 80, pan=1.0), points) == pytest.approx(2 / 3)
    share = foreground_fraction(looking(maps), film(0, 80), points)
    assert share is not None and 0.1 < share < 0.5  # the disc passes by
    on = looking(maps).estimate(film(0, 80)).keypoints.numpy()
    assert foreground_fraction(looking(maps), film(0, 80), on) == 1
    assert foreground_fraction(looking(maps), film(0)[:0]) is None
