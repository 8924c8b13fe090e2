"""How sure a pose is, by hand, and poses of several batches as one."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from pplkit.core.errors import PplkitError
from pplkit.data.image_inputs import NO_PIXELS
from pplkit.data.reader import Frame
from pplkit.models.prior.config import Config
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.outputs import (
    CONFIDENCE_SCALE,
    CompleterOutput,
    Iteration,
    Poses,
    concatenate_poses,
    concatenate_rounds,
    confidence,
)


def test_confidence_by_hand() -> None:
    """All weight in one place is certain, an even spread knows nothing, two of 16 places are a quarter of the way."""
    point, even = F.one_hot(torch.tensor(3), 16).float(), torch.full((16,), 1 / 16)
    two = (F.one_hot(torch.tensor(3), 16) + F.one_hot(torch.tensor(8), 16)) / 2
    result = confidence(torch.stack((point, even, two))[None])
    torch.testing.assert_close(result, torch.tensor([[1.0, 0.0, 0.75]]), atol=1e-6, rtol=0)


def test_completed_poses_by_hand() -> None:
    """Logit log 3 is a probability of 3/4; a distance of CONFIDENCE_SCALE divides the confidence by e."""
    hidden = torch.tensor([[math.log(3), -math.log(3), -100.0]])
    distance = torch.tensor([[CONFIDENCE_SCALE, CONFIDENCE_SCALE, 1e-9]]).log()
    result = CompleterOutput(torch.ones(1, 3, 2), distance, hidden).poses(5)
    assert result.hidden is not None and result.distance is not None
    torch.testing.assert_close(result.hidden, torch.tensor([[0.75, 0.25, 0.0]]))
    torch.testing.assert_close(result.confidence, torch.tensor([[0.25 / math.e, 0.75 / math.e, 1.0]]))
    torch.testing.assert_close(
        result.distance[0, 0].item(), CONFIDENCE_SCALE * 4 / 10
    )  # from -1 to 1 are 4 of 5 pixels
    assert torch.equal(result.keypoints, torch.ones(1, 3, 2))


def poses(first: int, count: int, completed: bool) -> Poses:
    numbers = torch.arange(first, first + count).float()[:, None].expand(-1, 3)
    more = (numbers + 0.1, numbers + 0.2) if completed else ()
    return Poses(numbers[..., None].expand(-1, -1, 2), numbers + 0.5, *more)


@pytest.mark.parametrize("completed", [True, False])
def test_batches_of_poses_become_one(completed: bool) -> None:
    actual, expected = concatenate_poses([poses(0, 2, completed), poses(2, 3, completed)], 3), poses(0, 5, completed)
    for name in ("keypoints", "confidence", "distance", "hidden"):
        a, b = getattr(actual, name), getattr(expected, name)
        assert (a is None and b is None) if not completed and name in ("distance", "hidden") else torch.equal(a, b)
    none = concatenate_poses([], 3)
    assert none.keypoints.shape == (0, 3, 2) and none.confidence.shape == (0, 3) and none.distance is None


@pytest.mark.parametrize("decoded", [True, False])
def test_a_round_of_several_batches_becomes_one(decoded: bool) -> None:
    images = torch.arange(5.0)[:, None, None, None].expand(-1, 3, 4, 4)
    parts = []
    for rows in (slice(0, 2), slice(2, 5)):
        some = poses(rows.start, rows.stop - rows.start, True)
        more = (some.keypoints + 1, images[rows] + 1) if decoded else ()
        parts.append(Iteration(images[rows], some, *more))
    result = concatenate_rounds(parts)
    assert torch.equal(result.images, images) and torch.equal(result.poses.keypoints, poses(0, 5, True).keypoints)
    if decoded:
        assert result.decoded_pose is not None and result.reconstruction is not None
        assert torch.equal(result.decoded_pose, result.poses.keypoints + 1)
        assert torch.equal(result.reconstruction, images + 1)
    else:
        assert result.decoded_pose is None and result.reconstruction is None


def test_pixels_of_the_original_by_hand() -> None:
    """The square from (10, 0) to (50, 40) of a file, seen at 32 pixels: 1.25 of the file's for each."""
    frame = Frame(Path("a.png"), None, None, (60, 40), (10, 0, 50, 40), NO_PIXELS)
    result = Poses(torch.tensor([[-1.0, -1.0], [1.0, 1.0]]), torch.ones(2), frames=[frame], side=32).pixels()
    torch.testing.assert_close(result, torch.tensor([[10.125, 0.125], [48.875, 38.875]]))


def test_poses_are_taken_apart_image_by_image() -> None:
    several = poses(0, 3, completed=True)
    assert len(several) == 3 and len(list(several)) == 3
    last = several[-1]
    assert len(last) == 1 and torch.equal(last.keypoints, several.keypoints[2]) and last.hidden is not None
    with pytest.raises(IndexError, match="there is no image 3 among 3 images"):
        several[3]
    assert several[1:] == poses(1, 2, completed=True) and len(several[:0]) == 0 and several[::2][1] == several[2]
    assert several != several[:2] and several != several[0] and several != poses(0, 3, completed=False)
    assert several != 3 and several[:1] != last


def test_the_pose_in_a_single_image_is_a_list_of_one() -> None:
    single = poses(0, 3, completed=True)[2]
    assert len(single) == 1 and list(single) == [single] and single[0] == single[-1] == single
    assert single[:].keypoints.shape == (1, 3, 2) and single[:][0] == single and len(single[1:]) == 0
    with pytest.raises(IndexError, match="there is no image 1 among 1 image"):
        single[1]


def test_one_image_has_one_answer(tiny: Config, tmp_path: Path) -> None:
    """From an array, a PIL image and a file it is the same one, with the square that training saw."""
    model = PosePriorLearner(tiny).eval()
    model.crop = "pad"
    pixels = np.random.default_rng(0).integers(0, 256, (30, 44, 3), dtype=np.uint8)
    image, file = Image.fromarray(pixels), tmp_path / "a.png"
    image.save(file)
    expected = model.estimate(file)
    assert expected.keypoints.shape == (4, 2) and expected.confidence.shape == (4,)
    for form in (pixels, image, str(file)):
        assert torch.equal(model.estimate(form).keypoints, expected.keypoints)
    for several in ([image, image], tmp_path, [file]):
        actual = model.estimate(several)
        assert actual.keypoints.shape[1:] == (4, 2)
        torch.testing.assert_close(actual.keypoints[-1], expected.keypoints)
    assert not torch.allclose(model.estimate(pixels, crop="center").keypoints, expected.keypoints)
    with pytest.raises(PplkitError, match="hidden is for a batch"):
        model.estimate(file, procedure="published", hidden=np.zeros((30, 44), bool))


def test_a_batch_is_cropped_where_a_crop_is_given(tiny: Config) -> None:
    model = PosePriorLearner(tiny).eval()
    batch = np.random.default_rng(0).integers(0, 256, (2, 32, 48, 3), dtype=np.uint8)
    expected = model.estimate(np.ascontiguousarray(batch[:, :, 8:40]))
    actual = model.estimate(batch, crop="center")
    torch.testing.assert_close(actual.keypoints, expected.keypoints)
    torch.testing.assert_close(actual.pixels() - expected.pixels(), torch.tensor([8.0, 0.0]).expand(2, 4, 2))
