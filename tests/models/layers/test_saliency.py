"""The object of single pictures by frozen features: on pictures by hand, and on photographs of birds where they are."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pplkit.data.crops import center
from pplkit.inference.object_crop import ImageSquares
from pplkit.models.layers import saliency
from pplkit.models.layers.saliency import CELLS, SIDE, Finder, distinctness, training_indices


class Colours:
    """Features that are a picture's own colours, with some noise, in the place of a network's."""

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        return images

    def stacked(self, rows: torch.Tensor, side: int) -> torch.Tensor:
        cells = torch.nn.functional.avg_pool2d(rows, SIDE // side)
        noise = torch.randn(1, 5, side, side, generator=torch.Generator().manual_seed(0)).expand(len(cells), -1, -1, -1)
        return torch.cat([cells + 0.02 * noise[:, :3], noise[:, 3:]], 1)


@pytest.fixture
def colours(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(saliency, "network", Colours)
    yield


def picture(left: int, top: int, right: int, bottom: int, seed: int = 0) -> np.ndarray:
    result = np.random.default_rng(seed).integers(90, 130, (SIDE, SIDE, 3), dtype=np.uint8)
    result[top:bottom, left:right] = (230, 40, 30)
    return result


def test_what_differs_from_the_border_is_the_object(colours: None) -> None:
    places = [(64, 80, 128, 176), (112, 48, 192, 112), (80, 96, 160, 144)]
    pictures = [picture(*place, seed) for seed, place in enumerate(places)]
    finder = Finder(pictures)
    for one, place in zip(pictures, places, strict=True):
        (result,) = finder.blobs(one)
        np.testing.assert_allclose(result[:4] * SIDE, place, atol=SIDE / CELLS / 2)
    (alone,) = Finder(pictures[:1]).blobs(pictures[0])
    np.testing.assert_allclose(alone[:4] * SIDE, places[0], atol=SIDE / CELLS)


def test_nothing_is_found_where_the_inside_is_like_the_border(colours: None) -> None:
    plain = picture(0, 0, 0, 0)
    assert Finder([plain]).blobs(plain).shape == (0, 5)
    features = torch.randn(8, CELLS, CELLS, generator=torch.Generator().manual_seed(1))
    assert distinctness(features) < saliency.DISTINCT
    features[:, 5:9, 5:9] += 8
    assert distinctness(features) > saliency.DISTINCT


def test_pictures_that_teach_are_spread_evenly() -> None:
    assert training_indices(3) == [0, 1, 2]
    many = training_indices(1000)
    assert len(many) == saliency.MAX_TRAINING and many[0] == 0 and many[-1] == 999 and set(np.diff(many)) == {3, 4}


@pytest.mark.real
def test_birds_are_held_by_their_squares(real_data: Path) -> None:
    """Thirty photographs: the squares hold birds as whole ones do, and fit far better than those in the middle."""
    pytest.importorskip("timm")
    folder = real_data / "CUB_200_2011"
    names, boxes = ((folder / name).read_text().splitlines() for name in ("images.txt", "bounding_boxes.txt"))
    truth = {}
    for name, box in zip(names, boxes, strict=True):
        truth[folder / "images" / name.split()[1]] = [float(number) for number in box.split()[1:]]
    files = [file for file in truth if file.exists()][::6]
    result = ImageSquares(files)
    held, fits, usual = [], [], []
    for file in files:
        x, y, width, height = truth[file]
        box = (x, y, x + width, y + height)
        half, middle = 0.7 * max(width, height), (x + width / 2, y + height / 2)
        around = (middle[0] - half, middle[1] - half, middle[0] + half, middle[1] + half)
        held.append(common(result.box(file), box) / (width * height))
        fits.append(overlap(result.box(file), around))
        usual.append(overlap(center(*Image.open(file).size), around))
    assert np.mean(np.array(held) >= 0.9) > 0.9
    assert np.mean(fits) > 0.7 > np.mean(usual) + 0.1


def common(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Square pixels of what two boxes share."""
    across = min(one[2], other[2]) - max(one[0], other[0])
    down = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, across) * max(0.0, down)


def overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """What two boxes share, of what they cover together."""
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return common(one, other) / (sum(areas) - common(one, other))
