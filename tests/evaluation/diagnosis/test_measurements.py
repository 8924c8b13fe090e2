"""The numbers that show faults: arithmetic by hand, and models and videos built to have a fault or none."""

import math
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from discs import Place, Placing, film, in_corners, near_middle, on_disc, one_stands, split, swapping, upper_first
from torch import Tensor, nn

from pplkit.data.dataset import Dataset, Split
from pplkit.data.motion_masks import SIDE
from pplkit.evaluation.diagnosis import measurements
from pplkit.evaluation.diagnosis.report import diagnose_images, findings, warning_lines
from pplkit.geometry.coordinates import mirror
from pplkit.inference import foreground
from pplkit.inference.foreground import Foreground
from pplkit.models.prior.config import Config
from pplkit.models.prior.model import PosePriorLearner

SPOTS = torch.tensor([[-0.2, 0.1], [0.2, 0.1], [0.0, -0.3], [0.1, 0.3]])


class Following:
    """Stands in for a model: its keypoints are SPOTS around the brightest pixel, times `follows`."""

    def __init__(self, follows: float = 1.0) -> None:
        self.follows = follows

    def regress(self, images: Tensor) -> tuple[None, None, None, Tensor]:
        line = torch.linspace(-1, 1, images.shape[-1])
        weights = (8 * images.mean(1)).flatten(1).softmax(1).unflatten(1, images.shape[-2:])
        place = torch.stack(((weights.sum(1) * line).sum(1), (weights.sum(2) * line).sum(1)), 1)
        return None, None, None, self.follows * place[:, None] + SPOTS


@pytest.fixture(scope="module")
def spots() -> Tensor:
    """Twelve images (12, 3, 32, 32), each with a soft bright spot somewhere near the middle."""
    places = torch.rand(12, 2, generator=torch.Generator().manual_seed(0)) - 0.5
    line = torch.linspace(-1, 1, 32)
    squared = (line - places[:, :1])[:, None] ** 2 + ((line - places[:, 1:])[..., None]) ** 2
    return (2 * (-squared / 0.02).exp() - 1)[:, None].expand(-1, 3, -1, -1)


@pytest.mark.parametrize("follows", [1.0, 0.5, 0.0])
def test_keypoints_that_follow_go_all_the_way(spots: Tensor, follows: float) -> None:
    model: Any = Following(follows)
    keypoints = measurements.regress_keypoints(model, spots)
    assert measurements.shift_response(model, spots, keypoints) == pytest.approx(follows, abs=0.05)


def test_left_and_right_by_hand() -> None:
    """Three keypoints, two of which change names when mirrored: in all images, or in every second one."""
    points = np.tile([[-0.3, 0.0], [0.3, 0.0], [0.0, 0.2]], (4, 1, 1))
    named = points[:, [1, 0, 2]]
    assert measurements.mirror_disagreement(points, points) == measurements.mirror_disagreement(points, named) == 0
    named[::2] = points[::2]
    # Either pairing is wrong in two of four images, by 0.6 for two of three keypoints.
    assert measurements.mirror_disagreement(points, named) == pytest.approx(0.5 * 0.6 * 2 / 3)
    assert measurements.mirror_disagreement(points, mirror(mirror(points))) == 0


def test_links_by_hand() -> None:
    weights = np.zeros((4, 4), np.float32)
    for (i, j), weight in {(0, 1): 2.0, (1, 2): 2.0}.items():
        weights[i, j] = weights[j, i] = weight
    numbers = measurements.measure_links(weights, [(0, 1), (1, 2)], 2.5e-3, 41)
    # 4² / (4 + 4) = 2 links for 4 keypoints, of which the last has none; a root of 0.05 is one of the 20 halves of 40.
    assert numbers == pytest.approx({"strongest": 2, "top": 0.5, "effective": 0.5, "unlinked": 0.25, "width": 1})


@pytest.mark.parametrize(
    ("settings", "curve", "rise"),
    [
        ({}, [1.0] * 16 + [0.6, 0.6, 0.5, 0.5], 1),
        ({}, [1.0] * 10 + [0.4] * 8 + [0.8, 0.8], 2),
        # After a coarse start, the jump to the full resolution is no rise; a single line of it says nothing.
        ({"coarse_fraction": 0.75}, [0.2] * 15 + [0.5, 0.5, 0.5, 0.44, 0.44], 1),
        ({"coarse_fraction": 0.75}, [0.2] * 15 + [0.66], None),
    ],
)
def test_the_rise_of_curves_by_hand(settings: dict[str, Any], curve: list[float], rise: float | None) -> None:
    rows = [{"step": 20 * (k + 1), "loss": 9.0, "reconstruction": value} for k, value in enumerate(curve)]
    numbers = measurements.measure_training(Config(steps=400, batch_size=8, **settings), rows)
    assert numbers.get("rise") == (None if rise is None else pytest.approx(rise))
    assert (numbers["done"], numbers["seen"]) == (len(curve) / 20, 160 * len(curve))


def test_trainings_that_did_not_end_by_hand() -> None:
    config = Config(steps=400, batch_size=8)
    measure = measurements.measure_training
    assert measure(config, []) == {"done": 0, "skipped": 0, "seen": 0, "diverged": 0}
    assert measure(config, [], 100) == {"done": 0.25, "skipped": 0, "seen": 800, "diverged": 0}
    rows = [{"step": 20, "loss": 1.0}, {"step": 40, "loss": 1.5, "skipped": 3.0}]
    numbers = measure(config, rows)
    assert (numbers["skipped"], numbers["rise"]) == (pytest.approx(3 / 40), pytest.approx(1.5))  # of the total loss
    assert measure(config, rows, 0, gave_up=True)["diverged"] == 1
    assert measure(config, rows, 400, gave_up=True)["diverged"] == 0  # repeated since


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
    numbers = measurements.decoder_distances(model, puppets["test"], 6)
    assert numbers["own"] != numbers["swapped"] and numbers["change"] > 0
    assert 0 < numbers["reference"] < numbers["another"]
    stem = model.decoder.stem[0]
    assert isinstance(stem, nn.Conv2d)
    with torch.no_grad():
        stem.weight[:, 3] = 0  # the channel of the link map
    numbers = measurements.measure_decoder(model, puppets["train"], puppets["test"], 6)
    assert numbers["own"] == numbers["swapped"] == numbers["empty"] and numbers["told"] == numbers["change"] == 0


def test_a_decoder_that_copies_paints_without_distance(
    model: PosePriorLearner, puppets: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reference is the image: what copies it has nothing to learn from links, and `alone` says so."""
    model.config = model.config.replace(reference="masked", mask_ratio=0.0)
    monkeypatch.setattr(model.decoder, "forward", lambda reference, heat: reference)
    numbers = measurements.measure_decoder(model, puppets["train"], puppets["train"], 6)
    assert numbers["alone"] == numbers["own"] == numbers["reference"] == 0 and numbers["told"] == 1
    assert "gap" not in numbers  # of the training images alone


def test_painting_is_looked_at_as_in_training(model: PosePriorLearner, puppets: Dataset) -> None:
    """Half the resolution in the coarse part, and the reference of the setting."""
    seen: list[int] = []
    model.decoder.register_forward_hook(lambda module, given, out: seen.append(out.shape[-1]))
    model.config = model.config.replace(coarse_fraction=0.5)
    measurements.decoder_distances(model, puppets["test"], 3)
    measurements.decoder_distances(model, puppets["test"], 4)
    assert set(seen[:3]) == {16} and set(seen[3:]) == {32} and len(seen) == 6


def test_the_gap_by_hand(model: PosePriorLearner, puppets: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    distances = {"train": 0.2, "test": 0.5}
    fake = lambda model, split, step: {"own": distances[split.name], "swapped": 0.8, "another": 1.0}  # noqa: E731
    monkeypatch.setattr(measurements, "decoder_distances", fake)
    numbers = measurements.measure_decoder(model, puppets["train"], puppets["test"], 6)
    assert (numbers["gap"], numbers["told"], numbers["alone"]) == pytest.approx((2.5, 0.375, 0.8))


def test_keypoints_of_a_model_built_to_fail(model: PosePriorLearner, puppets: Dataset) -> None:
    last = model.regressor.predict[-1]
    assert isinstance(last, nn.Linear)
    numbers = measurements.measure_keypoints(model, puppets["test"])
    assert numbers["outside"] == 0 and abs(numbers["following"]) > 1e-3 and numbers["variation"] > 1e-3
    assert numbers["harm"] == (numbers["shift"] if numbers["offset_all"] > numbers["offset_used"] else 0)
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.tensor([0, 0, 0.9, 0, 0, 0.9]))  # all in one corner, whatever the image
        still = measurements.measure_keypoints(model, puppets["test"])
        last.bias.mul_(2)
        gone = measurements.measure_keypoints(model, puppets["test"])
    for name in ("following", "variation", "extent"):
        assert still[name] == pytest.approx(0, abs=1e-5)
    assert 0 < numbers["breadth"] < 0.71 and math.isnan(still["breadth"])  # a point is no line
    assert still["outside"] == 0 and gone["outside"] == 1
    assert still["off_object"] == gone["off_object"] == 1
    background = (np.asarray(puppets["test"].masks) <= 127).mean()
    assert still["strayed"] == pytest.approx(1 / background)


def test_breadth_of_a_pose() -> None:
    """0 on a line however it lies, the root of a half where all ways are alike; a 4 x 2 rectangle 1 of root 5."""
    line = np.array([[0, 0], [1, 2], [2, 4.0], [-3, -6]])
    turned = line @ np.array([[0.6, -0.8], [0.8, 0.6]]) + 5
    square = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1.0]])
    assert measurements.breadth(np.stack([line, turned])) == pytest.approx(0, abs=1e-6)
    assert measurements.breadth(square[None]) == pytest.approx(math.sqrt(0.5))
    assert measurements.breadth(square[None] * [2, 1]) == pytest.approx(1 / math.sqrt(5))
    assert measurements.breadth(np.stack([line, square])) == pytest.approx(math.sqrt(4 / (70 + 8)))


def test_without_masks_or_flips_their_numbers_are_left_out(model: PosePriorLearner, puppets: Dataset) -> None:
    model.config = model.config.replace(flip=False)
    numbers = measurements.measure_keypoints(model, replace(puppets["test"], masks=None))
    assert "extent" in numbers and not {"off_object", "strayed", "mixed"} & set(numbers)


def test_the_variety_of_images(puppets: Dataset) -> None:
    numbers = measurements.measure_variety(puppets)
    assert numbers["images"] == 20 and 0.05 < numbers["variety"] < 0.5
    same: Any = {"train": type("Same", (), {"images": np.full((9, 4, 4, 3), 7), "__len__": lambda self: 9})()}
    assert measurements.measure_variety(same) == {"images": 9, "variety": 0}


def test_weights_that_are_no_numbers_are_counted(model: PosePriorLearner) -> None:
    assert measurements.count_nonfinite(model) == 0
    with torch.no_grad():
        model.links[0, :2] = torch.tensor([torch.nan, torch.inf])
    assert measurements.count_nonfinite(model) == 2


@pytest.fixture(scope="module")
def videos() -> Split:
    return discs()


def discs(count: int = 3, **options: Any) -> Split:
    """Videos of a disc before clutter."""
    return split(np.concatenate([film(seed, **options) for seed in range(count)]))


@pytest.fixture
def no_features(monkeypatch: pytest.MonkeyPatch) -> None:
    """The border tells nothing, as where the package of the backbone is not installed."""
    monkeypatch.setattr(foreground, "frozen_features", lambda images: None)


def measure(place: Place, images: Split, **settings: Any) -> tuple[dict[str, float], list[str], list[str]]:
    """All object numbers of a model that places keypoints so, and the names and descriptions of the findings."""
    model: Any = Placing(place, **settings)
    numbers, still = measurements.measure_object(model, images)
    faults = findings(Config(), numbers, still)
    return numbers, [fault["name"] for fault in faults], [fault["says"] for fault in faults]


def test_keypoints_on_the_object_and_elsewhere(videos: Split) -> None:
    numbers, names, _ = measure(on_disc, videos)
    assert names == [] and numbers["on_foreground"] > 0.99 and numbers["off_foreground"] < 0.01
    assert (numbers["still"], numbers["exchanged"]) == (0, 0) and numbers["slowest"] > 0.9
    numbers, names, _ = measure(in_corners, videos)  # they also stand still, which follows
    assert names == ["on the background"] and numbers["on_foreground"] < 0.05 and numbers["off_foreground"] > 0.9
    assert numbers["still"] == 6
    numbers, names, words = measure(one_stands, videos)
    assert names == ["keypoints stand still"] and numbers["still"] == 1 and numbers["off_foreground"] < 0.5
    assert words == ["keypoints that hardly move while the object does: 2"]
    numbers, names, _ = measure(swapping, videos)
    assert "keypoints swap" in names and numbers["exchanged"] > 0.9


def test_object_numbers_are_left_out_where_they_cannot_be_measured(videos: Split, no_features: None) -> None:
    numbers, names, _ = measure(one_stands, discs(pan=2.0))  # a moving camera
    assert not {"on_foreground", "off_foreground"} & set(numbers)
    assert numbers["still"] == 1 and names == ["keypoints stand still"]
    numbers, names, _ = measure(one_stands, discs(way=0.2))  # an object at rest
    assert "still" not in numbers and names == []
    assert measure(one_stands, split(videos.images, None)) == ({}, [], [])  # single images
    for few in (split(videos.images, 1), split(videos.images[:8], 8)):
        assert "exchanged" not in measure(swapping, few)[0]
    masks = np.zeros((len(videos), 64, 64), np.uint8)
    masks[:, 20:40, 20:40] = 255
    numbers, names, _ = measure(in_corners, split(videos.images, 16, masks))
    assert "off_foreground" not in numbers and names == []  # by the masks nothing moves


def test_the_look_of_the_object_counts_where_motion_says_that_keypoints_are_off_it(
    videos: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keypoints on the body of an animal that moves only its tail are no fault."""
    everywhere = Foreground(np.arange(48), np.full((48, SIDE, SIDE), 255, np.uint8), "border")
    monkeypatch.setattr(foreground, "by_border", lambda images: everywhere)
    numbers, names, _ = measure(in_corners, videos)
    assert names == ["keypoints stand still"] and numbers["on_foreground"] == 1


@pytest.mark.parametrize(("place", "expected"), [(near_middle, []), (upper_first, ["swap when turned"])])
def test_names_that_depend_on_the_place_in_the_image_show_when_it_is_rotated(
    place: Place, expected: list[str], videos: Split, no_features: None
) -> None:
    """`near_middle` places points upright as well, but so close together that no name is far wrong."""
    single = split(videos.images, None)
    assert measure(place, single, max_rotation=3.1)[1] == expected
    assert measure(place, single, max_rotation=1.0) == ({}, [], [])


def test_reach_by_hand(videos: Split) -> None:
    """The corners of a square against all its cells; and eight keypoints near the middle of the discs, or all over."""
    mask = np.zeros((5, 5), np.uint8)
    mask[1:4, 1:4] = 255  # from -0.5 to 0.5: a variance of 1/6 on each axis; that of the corners 1/4
    corners = np.array([[x, y] for x in (-0.5, 0.5) for y in (-0.5, 0.5)])
    assert measurements.reach(np.stack([corners, 9 * corners]), np.stack([mask, 0 * mask])) == pytest.approx(1.5**0.5)
    assert math.isnan(measurements.reach(corners[None], 0 * mask[None]))
    angles = torch.arange(8) * math.pi / 4
    around = torch.stack((angles.cos(), angles.sin()), 1)
    for radius, expected in ((0.05, ["keypoints in the middle"]), (0.18, [])):  # of 0.19
        assert measure(lambda middle, number, r=radius: middle[:, None] + r * around, videos)[1] == expected
    assert "reach" not in measure(lambda middle, number: middle[:, None] + 0.05 * around[:7], videos)[0]


def test_relative_motion_by_hand() -> None:
    """Two keypoints swing by 0.1, one by a fifth of that; the center of the object by 0.2, or not at all."""
    video = np.zeros((8, 3, 2))
    video[..., 0] = np.where(np.arange(8) % 2, 0.1, -0.1)[:, None] * [1, 0.2, 1]
    motion = measurements.relative_motion
    assert motion([video]) == pytest.approx(np.array([1, 0.2, 1]))
    assert motion([video, video + 5], 0.2) == pytest.approx(np.array([0.5, 0.1, 0.5]))
    assert motion([video[:5]]) is None and motion([]) is None and motion([0.1 * video]) is None


def test_swaps_by_hand() -> None:
    """Four points on a line: all stay, one passes another, two change places, all move; and points close together."""
    first = np.array([[0.0, 0], [0.1, 0], [0.2, 0], [0.3, 0]])
    passing, two = first.copy(), first[[3, 1, 2, 0]]
    passing[0] = [0.15, 0]
    after = np.stack([first, passing, two, first + 0.01])
    assert measurements.keypoint_swaps(np.stack([first] * 4), after).tolist() == [False, False, True, False]
    assert not measurements.keypoint_swaps(0.1 * first[None], 0.1 * two[None])[0]


def test_blobs_by_hand() -> None:
    """A blob of 16 x 8 cells, and a speck that does not count; every second one at the border."""
    masks = np.zeros((4, SIDE, SIDE), np.uint8)
    masks[:2, 30:46, 20:28] = 255
    masks[2:, 0:16, 20:28] = 255
    masks[:, 60, 60] = 255
    numbers = measurements.measure_foreground(Foreground(np.arange(4), masks, "motion"))
    assert numbers["filled"] == pytest.approx((16 / SIDE) ** 2, rel=0.1)
    assert numbers["cut"] == 0  # 8 cells of 252 are no border of an object
    masks[2:, 0:16, :28] = 255
    assert measurements.measure_foreground(Foreground(np.arange(4), masks, "motion"))["cut"] == 0.5
    assert measurements.measure_foreground(Foreground(np.arange(4), 0 * masks, "motion")) == {}


class Splits(dict[str, Split]):
    """A data set as far as its images are looked at."""

    options: ClassVar[dict[str, Any]] = {}
    size = 64


def image_findings(train: Split) -> list[dict[str, Any]]:
    data: Any = Splits({"train": train})
    return diagnose_images(data)


def test_images_are_judged_before_anything_is_trained(puppets: Dataset) -> None:
    """A disc of an eighth of the side is small, one of a half is not; at the border it is cut off."""
    assert image_findings(discs(2, radius=14.0)) == diagnose_images(puppets) == []
    (fault,) = image_findings(discs(2, radius=4.0))
    assert fault["name"] == "object small" and 0.01 < fault["number"] < 0.05 and fault["least"] == 0.1
    (line,) = warning_lines([fault])
    assert line.startswith("object small: The object fills little") and "at least 0.1" in line
    assert "crop=object" in line and line.endswith(".")
    (fault,) = image_findings(discs(2, radius=12.0, way=26.0))
    assert fault["name"] == "object cut off" and fault["number"] > 0.5
    assert image_findings(split(np.zeros((0, 4, 4, 3), np.uint8))) == []  # and no error


def test_single_images_in_which_nothing_is_distinct(monkeypatch: pytest.MonkeyPatch, videos: Split) -> None:
    single = split(videos.images, None)
    monkeypatch.setattr(foreground, "frozen_features", lambda images: torch.zeros(len(images), 2, 4, 4))
    monkeypatch.setattr(measurements, "distinctness", lambda features: 1.0)
    (fault,) = image_findings(single)
    assert (fault["name"], fault["number"]) == ("object indistinct", 1.0)
    monkeypatch.setattr(foreground, "frozen_features", lambda images: None)
    assert image_findings(single) == []
