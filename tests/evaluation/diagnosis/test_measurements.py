"""The numbers that `doctor` judges by: arithmetic by hand, and models built to have or not to have a fault."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pplkit.data.dataset import Dataset
from pplkit.evaluation.diagnosis import measurements as symptoms
from pplkit.geometry.coordinates import mirror
from pplkit.models.prior.config import Config
from pplkit.models.prior.model import PosePriorLearner

SPOTS = torch.tensor([[-0.2, 0.1], [0.2, 0.1], [0.0, -0.3], [0.1, 0.3]])


class Seeing:
    """Stands in for a model: its keypoints are SPOTS around the brightest pixel, times `follows`."""

    def __init__(self, follows: float = 1.0) -> None:
        self.follows = follows

    def regress(self, images: Tensor) -> tuple[None, None, None, Tensor]:
        line = torch.linspace(-1, 1, images.shape[-1])
        weights = (8 * images.mean(1)).flatten(1).softmax(1).unflatten(1, images.shape[-2:])
        place = torch.stack(((weights.sum(1) * line).sum(1), (weights.sum(2) * line).sum(1)), 1)
        return None, None, None, self.follows * place[:, None] + SPOTS


def seeing(follows: float = 1.0) -> Any:
    return Seeing(follows)


@pytest.fixture(scope="module")
def spots() -> Tensor:
    """Twelve images (12, 3, 32, 32), each with a soft bright spot somewhere near the middle."""
    places = torch.rand(12, 2, generator=torch.Generator().manual_seed(0)) - 0.5
    line = torch.linspace(-1, 1, 32)
    squared = (line - places[:, :1])[:, None] ** 2 + ((line - places[:, 1:])[..., None]) ** 2
    return (2 * (-squared / 0.02).exp() - 1)[:, None].expand(-1, 3, -1, -1)


@pytest.mark.parametrize("follows", [1.0, 0.5, 0.0])
def test_keypoints_that_follow_go_all_the_way(spots: Tensor, follows: float) -> None:
    model = seeing(follows)
    keypoints = symptoms.placed(model, spots)
    assert symptoms.following(model, spots, keypoints) == pytest.approx(follows, abs=0.05)


def test_left_and_right_by_hand() -> None:
    """Three keypoints, two of which change names when mirrored: in all images, or in every second one."""
    points = np.tile([[-0.3, 0.0], [0.3, 0.0], [0.0, 0.2]], (4, 1, 1))
    named = points[:, [1, 0, 2]]
    assert symptoms.mixed(points, points) == symptoms.mixed(points, named) == 0
    named[::2] = points[::2]
    # Either pairing is wrong in two of four images, by 0.6 for two of three keypoints.
    assert symptoms.mixed(points, named) == pytest.approx(0.5 * 0.6 * 2 / 3)
    assert symptoms.mixed(points, mirror(mirror(points))) == 0


def test_links_by_hand() -> None:
    weights = np.zeros((4, 4), np.float32)
    for (i, j), weight in {(0, 1): 2.0, (1, 2): 2.0}.items():
        weights[i, j] = weights[j, i] = weight
    found = symptoms.of_links(weights, [(0, 1), (1, 2)], 2.5e-3, 41)
    # 4² / (4 + 4) = 2 links for 4 keypoints, of which the last has none; a root of 0.05 is one of the 20 halves of 40.
    assert found == pytest.approx({"strongest": 2, "top": 0.5, "effective": 0.5, "unlinked": 0.25, "width": 1})


def rows(values: list[float], every: int = 20) -> list[dict[str, float]]:
    return [{"step": every * (k + 1), "loss": 9.0, "reconstruction": v} for k, v in enumerate(values)]


def test_curves_by_hand() -> None:
    config = Config(steps=800, batch_size=8)
    found = symptoms.of_training(config, rows([1.0] * 16 + [0.6, 0.6, 0.5, 0.5]))
    assert found == pytest.approx({"done": 0.5, "skipped": 0, "seen": 3200, "diverged": 0, "rise": 1})
    found = symptoms.of_training(config.replace(steps=400), rows([1.0] * 10 + [0.4] * 8 + [0.8, 0.8]))
    assert found["rise"] == pytest.approx(2)


def test_curves_after_a_coarse_start_are_those_of_the_full_resolution() -> None:
    """The jump where painting becomes fine, at three quarters, is no rise."""
    config = Config(steps=400, batch_size=8, coarse_fraction=0.75)
    found = symptoms.of_training(config, rows([0.2] * 15 + [0.5, 0.5, 0.5, 0.44, 0.44]))
    assert found["rise"] == pytest.approx(1)
    found = symptoms.of_training(config, rows([0.2] * 15 + [0.66]))  # a single line of it
    assert "rise" not in found


def test_trainings_that_did_not_end_by_hand() -> None:
    config = Config(steps=400, batch_size=8)
    assert symptoms.of_training(config, []) == {"done": 0, "skipped": 0, "seen": 0, "diverged": 0}
    assert symptoms.of_training(config, [], 100) == {"done": 0.25, "skipped": 0, "seen": 800, "diverged": 0}
    lines = [{"step": 20, "loss": 1.0}, {"step": 40, "loss": 1.0, "skipped": 3.0}]
    assert symptoms.of_training(config, lines)["skipped"] == pytest.approx(3 / 40)
    assert symptoms.of_training(config, lines, 0, gave_up=True)["diverged"] == 1
    assert symptoms.of_training(config, lines, 400, gave_up=True)["diverged"] == 0  # done anew since


def test_curves_of_other_losses_are_those_of_the_total() -> None:
    found = symptoms.of_training(Config(steps=40), [{"step": 20, "loss": 2.0}, {"step": 40, "loss": 3.0}])
    assert found["rise"] == pytest.approx(1.5)


@pytest.fixture
def model(tiny: Config) -> PosePriorLearner:
    torch.manual_seed(0)
    model = PosePriorLearner(tiny.replace(affine_init="place", sharpness=8.0, connectivity_mean=1.0))
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None  # the running statistics become the mean over all batches
    images = torch.rand(16, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        model(images, images)
    return model.eval()


def test_a_decoder_that_reads_links_and_one_that_does_not(model: PosePriorLearner, puppets: Dataset) -> None:
    found = symptoms.painted(model, puppets["test"], 6)
    assert found["own"] != found["swapped"] and found["change"] > 0
    assert 0 < found["reference"] < found["another"]
    stem = model.decoder.stem[0]
    assert isinstance(stem, nn.Conv2d)
    with torch.no_grad():
        stem.weight[:, 3] = 0  # the channel of the link map
    found = symptoms.of_paintings(model, puppets["train"], puppets["test"], 6)
    assert found["own"] == found["swapped"] == found["empty"] and found["told"] == found["change"] == 0


def test_a_decoder_that_copies_paints_without_distance(
    model: PosePriorLearner, puppets: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reference is the image: what copies it has nothing to learn from links, and `alone` says so."""
    model.config = model.config.replace(reference="masked", mask_ratio=0.0)
    monkeypatch.setattr(model.decoder, "forward", lambda reference, heat: reference)
    found = symptoms.of_paintings(model, puppets["train"], puppets["train"], 6)
    assert found["alone"] == found["own"] == found["reference"] == 0 and found["told"] == 1
    assert "gap" not in found  # of the training images alone


def test_painting_is_looked_at_as_in_training(model: PosePriorLearner, puppets: Dataset) -> None:
    """Half the resolution in the coarse part, and the reference of the setting."""
    seen: list[int] = []
    model.decoder.register_forward_hook(lambda module, given, out: seen.append(out.shape[-1]))
    model.config = model.config.replace(coarse_fraction=0.5)
    symptoms.painted(model, puppets["test"], 3)
    symptoms.painted(model, puppets["test"], 4)
    assert set(seen[:3]) == {16} and set(seen[3:]) == {32} and len(seen) == 6


def test_the_gap_by_hand(model: PosePriorLearner, puppets: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    distances = {"train": 0.2, "test": 0.5}
    monkeypatch.setattr(
        symptoms, "painted", lambda model, split, step: {"own": distances[split.name], "swapped": 0.8, "another": 1.0}
    )
    found = symptoms.of_paintings(model, puppets["train"], puppets["test"], 6)
    assert (found["gap"], found["told"], found["alone"]) == pytest.approx((2.5, 0.375, 0.8))


def test_keypoints_of_a_model_built_to_fail(model: PosePriorLearner, puppets: Dataset) -> None:
    last = model.regressor.predict[-1]
    assert isinstance(last, nn.Linear)
    found = symptoms.of_keypoints(model, puppets["test"])
    assert found["outside"] == 0 and abs(found["following"]) > 1e-3 and found["variation"] > 1e-3
    assert found["harm"] == (found["shift"] if found["offset_all"] > found["offset_used"] else 0)
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.tensor([0, 0, 0.9, 0, 0, 0.9]))  # all in one corner, whatever the image
        still = symptoms.of_keypoints(model, puppets["test"])
        last.bias.mul_(2)
        gone = symptoms.of_keypoints(model, puppets["test"])
    for name in ("following", "variation", "extent"):
        assert still[name] == pytest.approx(0, abs=1e-5)
    assert 0 < found["breadth"] < 0.71 and math.isnan(still["breadth"])  # a point is no line
    assert still["outside"] == 0 and gone["outside"] == 1
    assert still["off_object"] == gone["off_object"] == 1
    background = (np.asarray(puppets["test"].masks) <= 127).mean()
    assert still["strayed"] == pytest.approx(1 / background)


def test_breadth_of_a_pose() -> None:
    """0 on a line however it lies, the root of a half where all ways are alike; a 4 x 2 rectangle 1 of root 5."""
    line = np.array([[0, 0], [1, 2], [2, 4.0], [-3, -6]])
    turned = line @ np.array([[0.6, -0.8], [0.8, 0.6]]) + 5
    square = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1.0]])
    assert symptoms.breadth(np.stack([line, turned])) == pytest.approx(0, abs=1e-6)
    assert symptoms.breadth(square[None]) == pytest.approx(math.sqrt(0.5))
    assert symptoms.breadth(square[None] * [2, 1]) == pytest.approx(1 / math.sqrt(5))
    assert symptoms.breadth(np.stack([line, square])) == pytest.approx(math.sqrt(4 / (70 + 8)))


def test_what_is_not_there_is_not_measured(model: PosePriorLearner, puppets: Dataset) -> None:
    model.config = model.config.replace(flip=False)
    plain: Any = SimpleNamespace(**{**vars(puppets["test"]), "masks": None, "videos": None, "__len__": None})
    plain = type("Plain", (SimpleNamespace,), {"__len__": lambda self: len(self.images)})(**vars(plain))
    found = symptoms.of_keypoints(model, plain)
    assert not {"off_object", "strayed", "mixed"} & set(found)


def test_the_variety_of_images(puppets: Dataset) -> None:
    found = symptoms.of_data(puppets)
    assert found["images"] == 20 and 0.05 < found["variety"] < 0.5
    same: Any = {"train": type("Same", (), {"images": np.full((9, 4, 4, 3), 7), "__len__": lambda self: 9})()}
    assert symptoms.of_data(same) == {"images": 9, "variety": 0}


def test_weights_that_are_no_numbers_are_counted(model: PosePriorLearner) -> None:
    assert symptoms.not_finite(model) == 0
    with torch.no_grad():
        model.links[0, :2] = torch.tensor([torch.nan, torch.inf])
    assert symptoms.not_finite(model) == 2
