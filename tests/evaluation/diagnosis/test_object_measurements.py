"""Keypoints beside the object, and objects in images: numbers by hand, of models and films that are built to fail."""

from typing import Any

import numpy as np
import pytest
import torch
from discs import (
    AROUND,
    Place,
    Placing,
    film,
    in_corners,
    near_middle,
    on_disc,
    one_stands,
    split,
    swapping,
    upper_first,
)

from pplkit.data.dataset import Dataset, Split
from pplkit.data.motion_masks import SIDE
from pplkit.evaluation.diagnosis import object_measurements as object_symptoms
from pplkit.evaluation.diagnosis import report as doctor
from pplkit.evaluation.diagnosis.object_checks import IMAGE_CHECKS, OBJECT_CHECKS
from pplkit.evaluation.diagnosis.object_measurements import of_images, of_object, stillness, swaps
from pplkit.inference import foreground as foregrounds
from pplkit.inference.foreground import Foreground
from pplkit.models.prior.config import Config


@pytest.fixture(scope="module")
def films() -> Split:
    return split(np.concatenate([film(seed) for seed in range(3)]))


@pytest.fixture(autouse=True)
def without_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Borders tell nothing, as where the package is not installed; test_foreground.py looks at them."""
    monkeypatch.setattr(foregrounds, "frozen_features", lambda images: None)


def said(place: Place, films: Split, **settings: Any) -> tuple[dict[str, float], list[str], list[str]]:
    """All numbers of a model, and the names and words of what is found by them alone."""
    model: Any = Placing(place, **settings)
    numbers, named = of_object(model, films)
    found = doctor.findings(Config(), numbers, named)
    return numbers, [one["name"] for one in found], [one["says"] for one in found]


def test_keypoints_on_the_object_are_passed_in_silence(films: Split) -> None:
    numbers, names, _ = said(on_disc, films)
    assert names == [] and numbers["on_foreground"] > 0.99 and numbers["off_foreground"] < 0.01
    assert (numbers["still"], numbers["exchanged"]) == (0, 0) and numbers["slowest"] > 0.9


def test_keypoints_on_the_background_are_found(films: Split) -> None:
    """They also stand still, which is not said beside it."""
    numbers, names, _ = said(in_corners, films)
    assert names == ["on the background"] and numbers["on_foreground"] < 0.05 and numbers["off_foreground"] > 0.9
    assert numbers["still"] == 6


def test_one_of_six_that_stands_is_found_and_named(films: Split) -> None:
    numbers, names, words = said(one_stands, films)
    assert names == ["keypoints stand still"] and numbers["still"] == 1 and numbers["off_foreground"] < 0.5
    assert words == ["keypoints that hardly move while the object does: 2"]


def test_keypoints_that_swap_are_found(films: Split) -> None:
    numbers, names, _ = said(swapping, films)
    assert "keypoints swap" in names and numbers["exchanged"] > 0.9


def test_a_moving_camera_gives_no_number() -> None:
    """Where the border cannot tell either. What keypoints do among themselves is measured all the same."""
    numbers, names, _ = said(one_stands, split(np.concatenate([film(seed, pan=2.0) for seed in range(3)])))
    assert not {"on_foreground", "off_foreground"} & set(numbers)
    assert numbers["still"] == 1 and names == ["keypoints stand still"]


def test_an_object_that_rests_lets_keypoints_rest() -> None:
    numbers, names, _ = said(one_stands, split(np.concatenate([film(seed, way=0.2) for seed in range(3)])))
    assert "still" not in numbers and names == []


def test_single_images_have_no_motion(films: Split) -> None:
    assert said(one_stands, split(films.images, None)) == ({}, [], [])


def test_the_look_of_the_object_is_asked_where_motion_says_that_keypoints_are_off_it(
    films: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an animal that moves its tail alone keypoints on the body are no fault."""
    everywhere = Foreground(np.arange(48), np.full((48, SIDE, SIDE), 255, np.uint8), "border")
    monkeypatch.setattr(foregrounds, "by_border", lambda images: everywhere)
    numbers, names, _ = said(in_corners, films)
    assert names == ["keypoints stand still"] and numbers["on_foreground"] == 1


def test_with_masks_the_share_on_the_object_is_that_of_the_masks(films: Split) -> None:
    masks = np.zeros((len(films), 64, 64), np.uint8)
    masks[:, 20:40, 20:40] = 255
    numbers, names, _ = said(in_corners, split(films.images, 16, masks))
    assert "off_foreground" not in numbers and names == []  # nothing moves, as the masks have it


@pytest.mark.parametrize(("place", "found"), [(near_middle, []), (upper_first, ["swap when turned"])])
def test_names_that_go_by_the_place_in_the_image_are_found_by_turning_it(
    place: Place, found: list[str], films: Split
) -> None:
    """`near_middle` places points upright as well, but so near to one another that no name is wrong by much."""
    single = split(films.images, None)
    assert said(place, single, max_rotation=3.1)[1] == found
    assert said(place, single, max_rotation=1.0) == ({}, [], [])


def test_stillness_by_hand() -> None:
    """Two keypoints go to and fro by 0.1, one by a fifth of that; the middle of the object by 0.2, or not at all."""
    swing = np.where(np.arange(8) % 2, 0.1, -0.1)
    video = np.zeros((8, 3, 2))
    video[..., 0] = swing[:, None] * [1, 0.2, 1]
    assert stillness([video]) == pytest.approx(np.array([1, 0.2, 1]))
    assert stillness([video, video + 5], 0.2) == pytest.approx(np.array([0.5, 0.1, 0.5]))
    assert stillness([video[:5]]) is None and stillness([]) is None
    assert stillness([0.1 * video]) is None


def test_swaps_by_hand() -> None:
    """Four points on a line: one that goes by another, two that change places, and all that stay."""
    first = np.array([[0.0, 0], [0.1, 0], [0.2, 0], [0.3, 0]])
    by, two = first.copy(), first[[3, 1, 2, 0]]
    by[0] = [0.15, 0]
    assert swaps(np.stack([first] * 4), np.stack([first, by, two, first + 0.01])).tolist() == [
        False,
        False,
        True,
        False,
    ]
    assert not swaps(0.1 * first[None], 0.1 * two[None])[0]  # so near to one another that it is no matter


def test_too_few_neighbours_say_nothing(films: Split) -> None:
    model: Any = Placing(swapping)
    assert "exchanged" not in of_object(model, split(films.images, 1))[0]
    assert "exchanged" not in of_object(model, split(films.images[:8], 8))[0]


def data_of(train: Split) -> Any:
    return {"train": train}


def test_images_are_judged_before_anything_is_trained(films: Split) -> None:
    """A disc of an eighth of the side is small, one of a half is not; at the border it is cut off."""
    assert doctor.data_findings(data_of(split(np.concatenate([film(s, radius=14.0) for s in range(2)])))) == []
    (found,) = doctor.data_findings(data_of(split(np.concatenate([film(s, radius=4.0) for s in range(2)]))))
    assert found["name"] == "object small" and 0.01 < found["number"] < 0.05 and found["least"] == 0.1
    assert "crop=object" in found["try"]
    (line,) = doctor.warnings([found])
    assert line.startswith("object small: The object fills little") and "at least 0.1" in line and line.endswith(".")
    (found,) = doctor.data_findings(data_of(split(np.concatenate([film(s, radius=12.0, way=26.0) for s in range(2)]))))
    assert found["name"] == "object cut off" and found["number"] > 0.5


def test_what_is_known_of_images_by_hand() -> None:
    """A blob of 16 x 8 cells, and a speck that does not count; every second one at the border."""
    masks = np.zeros((4, SIDE, SIDE), np.uint8)
    masks[:2, 30:46, 20:28] = 255
    masks[2:, 0:16, 20:28] = 255
    masks[:, 60, 60] = 255
    numbers = object_symptoms.of_foreground(Foreground(np.arange(4), masks, "motion"))
    assert numbers["filled"] == pytest.approx((16 / SIDE) ** 2, rel=0.1)
    assert numbers["cut"] == 0  # 8 cells of 252 are no border of an object
    masks[2:, 0:16, :28] = 255
    assert object_symptoms.of_foreground(Foreground(np.arange(4), masks, "motion"))["cut"] == 0.5
    assert object_symptoms.of_foreground(Foreground(np.arange(4), 0 * masks, "motion")) == {}


def test_single_images_in_which_nothing_is_distinct(monkeypatch: pytest.MonkeyPatch, films: Split) -> None:
    monkeypatch.setattr(foregrounds, "frozen_features", lambda images: torch.zeros(len(images), 2, 4, 4))
    monkeypatch.setattr(object_symptoms, "distinctness", lambda features: 1.0)
    single = split(films.images, None)
    (found,) = doctor.data_findings(data_of(single))
    assert (found["name"], found["number"]) == ("object indistinct", 1.0)
    monkeypatch.setattr(foregrounds, "frozen_features", lambda images: None)
    assert of_images(data_of(single)) == {} and doctor.data_findings(data_of(single)) == []


def test_findings_of_data_never_raise(puppets: Dataset) -> None:
    assert doctor.data_findings(puppets) == [] and doctor.warnings([]) == []
    nothing: Any = None
    assert doctor.data_findings(nothing) == []
    broken: Any = split(np.zeros((0, 4, 4, 3), np.uint8))
    assert doctor.data_findings(data_of(broken)) == []


def test_every_number_that_is_judged_is_measured(films: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = said(on_disc, films, max_rotation=3.1)[0] | of_images(data_of(films))
    monkeypatch.setattr(foregrounds, "frozen_features", lambda images: torch.zeros(len(images), 2, 4, 4))
    monkeypatch.setattr(object_symptoms, "distinctness", lambda features: 9.0)
    numbers |= of_images(data_of(split(films.images, None)))
    assert {check.number for check in (*OBJECT_CHECKS, *IMAGE_CHECKS)} <= set(numbers)
    assert len(AROUND) == 6
