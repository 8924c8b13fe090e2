"""The losses of part maps, each by hand, with what leaves them alone and what they are least for."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pplkit.core.errors import PplkitError
from pplkit.models.prior import losses as module
from pplkit.models.prior.batches import Batch
from pplkit.models.prior.config import Config
from pplkit.models.prior.losses import (
    background_loss,
    concentration_loss,
    contrast_loss,
    distance_loss,
    equivariance_loss,
    losses,
    parts_loss,
    presence_loss,
)
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.networks import part_attention
from pplkit.models.prior.outputs import Output
from pplkit.models.prior.parts import PartMaps

QUARTER = torch.tensor([[[0.0, -1.0, 0.1], [1.0, 0.0, 0.0]]])  # turns (x, y) to (0.1 - y, x)
SAME = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def shares(*shape: int, seed: int = 0) -> Tensor:
    """Positive numbers that sum to 1 over the second axis."""
    return noise(*shape, seed=seed).softmax(1)


def part_maps(maps: Tensor, wanted: Tensor) -> PartMaps:
    return PartMaps(maps, torch.empty(len(maps), 0, 0), wanted)


def test_distance_by_hand() -> None:
    """A quarter turn, and one of two keypoints found 0.3 beside in x: 0.15 of its coordinates, 0.075 of both."""
    keypoints = torch.tensor([[[0.5, 0.5], [-0.5, -0.5]]])
    right = torch.tensor([[[-0.4, 0.5], [0.6, -0.5]]])
    assert distance_loss(keypoints, right, QUARTER).item() == pytest.approx(0, abs=1e-6)
    beside = right + torch.tensor([[[0.3, 0.0], [0.0, 0.0]]])
    assert distance_loss(keypoints, beside, QUARTER).item() == pytest.approx(0.075)
    assert distance_loss(0.1 * keypoints, 0.1 * beside, SAME) < distance_loss(keypoints, beside, SAME)  # as they are


def test_what_is_moved_outside_is_left_out() -> None:
    """Of three keypoints moved by 0.6, the second goes to 1.05, the third to 1.15: it counts neither as off nor at all.

    The others are 0.2 and 0.4 beside in y: 0.1 and 0.2 in the mean over coordinates.
    """
    move = torch.tensor([[[1.0, 0.0, 0.6], [0.0, 1.0, 0.0]]])
    keypoints = torch.tensor([[[0.0, 0.0], [0.45, 0.0], [0.55, 0.0]]], requires_grad=True)
    again = torch.tensor([[[0.6, 0.2], [1.05, -0.4], [0.0, 0.0]]], requires_grad=True)
    loss = distance_loss(keypoints, again, move)
    assert loss.item() == pytest.approx(0.15)
    loss.backward()
    assert keypoints.grad is not None and again.grad is not None
    assert again.grad[0, :, 1].tolist() == pytest.approx([0.25, -0.25, 0])  # half of two coordinates
    assert keypoints.grad[0, :2, 1].tolist() == pytest.approx([-0.25, 0.25]) and not keypoints.grad[0, 2].any()
    away = distance_loss(keypoints + 5, again, move)
    assert away.item() == 0  # if all of them are outside, there is nothing to say
    away.backward()


def test_shares_of_processes_make_up_the_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes, of which one has three points inside and the other five."""
    keypoints, again = torch.zeros(2, 5, 2), 0.5 * noise(2, 5, 2)
    keypoints[0, :2] = 3.0
    moves = SAME.expand(2, -1, -1)
    whole = distance_loss(keypoints, again, moves)
    monkeypatch.setattr(module.collectives, "mean", lambda inside: torch.tensor((3 + 5) / 2))
    parts = [distance_loss(keypoints[i : i + 1], again[i : i + 1], moves[i : i + 1]) for i in range(2)]
    torch.testing.assert_close(torch.stack(parts).mean(), whole)


def test_parts_by_hand() -> None:
    """Two cells: the first is half of two parts, wanted as such; the second is wanted as background and 0.2 of it."""
    maps = torch.tensor([[0.5, 0.3], [0.5, 0.5], [0.0, 0.2]]).view(1, 3, 1, 2)
    wanted = torch.tensor([[0.5, 0.0], [0.5, 0.0], [0.0, 1.0]]).view(1, 3, 1, 2)
    expected = (-math.log(0.5 + 1e-5) - math.log(0.2 + 1e-5)) / 2
    assert parts_loss(part_maps(maps, wanted)).item() == pytest.approx(expected, rel=1e-5)


def test_what_is_wanted_is_brought_to_the_resolution_of_the_maps() -> None:
    maps, wanted = shares(1, 3, 4, 4), shares(1, 3, 1, 1, seed=1)
    expected = parts_loss(part_maps(maps, wanted.expand(-1, -1, 4, 4)))
    torch.testing.assert_close(parts_loss(part_maps(maps, wanted)), expected)
    finer = wanted.expand(-1, -1, 8, 8).clone()
    finer[..., 0:2, 0:2] = torch.eye(3)[:, :, None, None][:, 0]  # one of 16 cells is wanted as another part
    actual = parts_loss(part_maps(maps, finer))
    change = -((torch.eye(3)[0] - wanted[0, :, 0, 0]) * (maps[0, :, 0, 0] + 1e-5).log()).sum() / 16
    torch.testing.assert_close(actual, expected + change)


def test_contrast_by_hand() -> None:
    """Parts that are alike in all images and orthogonal: logits of 1 / 0.2 for the right one of three, 0 else."""
    orthogonal = torch.eye(3).expand(4, -1, -1)
    expected = math.log(1 + 2 * math.exp(-1 / 0.2))
    assert contrast_loss(orthogonal).item() == pytest.approx(expected)
    assert contrast_loss(7 * orthogonal, 0.5).item() == pytest.approx(math.log(1 + 2 * math.exp(-2)))
    assert contrast_loss(torch.ones(4, 3, 5)).item() == pytest.approx(math.log(3))  # all alike


def test_an_image_is_compared_with_the_others_alone() -> None:
    """Two images whose two parts have changed places: each finds its own part where the other is."""
    swapped = torch.stack((torch.eye(2), torch.eye(2).flip(0)))
    assert contrast_loss(swapped).item() == pytest.approx(math.log(1 + math.exp(1 / 0.2)))


def test_shares_of_processes_make_up_the_contrast(monkeypatch: pytest.MonkeyPatch) -> None:
    given = noise(6, 3, 5)
    whole = contrast_loss(given)
    monkeypatch.setattr(module.collectives, "world_size", lambda: 3)
    monkeypatch.setattr(module.collectives, "total", lambda own: F.normalize(given, dim=-1).sum(0))
    torch.testing.assert_close(torch.stack([contrast_loss(part) for part in given.split(2)]).mean(), whole)
    assert contrast_loss(given[:1]).isfinite()  # one image in a process is enough, as the others have some


def test_a_single_image_has_no_contrast() -> None:
    with pytest.raises(PplkitError, match="weight_contrast compares images, but the batch has one: give a larger"):
        contrast_loss(noise(1, 3, 5))


def test_concentration_by_hand() -> None:
    """A quarter at (-0.5, 0), the rest at (0.5, 0): 0.25 - 0.25² of variance; wholly in one place there is none."""
    positions = torch.tensor([[-0.5, 0.0], [0.5, 0.0], [0.0, 0.7]])
    divided, whole = torch.tensor([0.25, 0.75, 0.0]), torch.tensor([0.0, 0.0, 1.0])
    assert concentration_loss(divided.view(1, 1, 3), positions).item() == pytest.approx(0.25 - 0.0625)
    both = torch.stack((divided, whole)).view(1, 2, 3)
    assert concentration_loss(both, positions).item() == pytest.approx(0.1875 / 2)
    assert concentration_loss(both, 2 * positions).item() == pytest.approx(4 * 0.1875 / 2)
    assert concentration_loss(both, positions + 0.3).item() == pytest.approx(0.1875 / 2, abs=1e-6)


def test_concentration_is_as_exact_in_mixed_precision() -> None:
    """The difference of two large numbers: in bfloat16 nothing would be left of it."""
    positions = torch.tensor([[0.88, 0.7], [0.92, 0.7]])
    attention = torch.full((1, 1, 2), 0.5)
    assert concentration_loss(attention, positions).item() == pytest.approx(0.02**2, rel=1e-3)
    with torch.autocast("cpu", torch.bfloat16):
        assert concentration_loss(attention, positions).item() == pytest.approx(0.02**2, rel=0.01)


def test_presence_by_hand() -> None:
    """Two parts over four cells, share 0.2 / 2 = 0.1: the first lacks 0.4 of the peak, the second is there.

    A third map, the background, is not asked for. Then the second is made 0.9 in one cell of 16: its mean is 0.05625.
    """
    maps = torch.tensor([[0.5, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]).view(1, 3, 2, 2)
    assert presence_loss(maps).item() == pytest.approx(0.4 / 2)
    wide = torch.zeros(1, 2, 4, 4)
    wide[0, 0, 1, 1] = 0.9
    assert presence_loss(wide).item() == pytest.approx(4 * (0.2 - 0.9 / 16))
    assert presence_loss(wide, peak=1.0, fraction=0.0).item() == pytest.approx(0.1)


def test_background_by_hand() -> None:
    """Parts take 0.75 of the first cell, which is object, and 0.4 of the second, of which half is."""
    maps = torch.tensor([[0.5, 0.4], [0.25, 0.0], [0.25, 0.6]]).view(1, 3, 1, 2)
    wanted = torch.tensor([[1.0, 0.2], [0.0, 0.3], [0.0, 0.5]]).view(1, 3, 1, 2)
    expected = -(math.log(0.75) + 0.5 * math.log(0.4) + 0.5 * math.log(0.6)) / 2
    assert background_loss(part_maps(maps, wanted)).item() == pytest.approx(expected)
    swapped = maps[:, [1, 0, 2]]
    assert background_loss(part_maps(swapped, wanted)).item() == pytest.approx(expected)  # which part does not matter
    sure = torch.tensor([[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]]).view(1, 3, 1, 2)
    assert background_loss(part_maps(sure, 1 - sure)).isfinite()


@pytest.mark.parametrize(
    "loss",
    [
        lambda maps: parts_loss(part_maps(maps, shares(2, 4, 3, 3, seed=1))),
        lambda maps: background_loss(part_maps(maps, shares(2, 4, 3, 3, seed=1))),
        lambda maps: concentration_loss(part_attention(maps), noise(9, 2)),
        presence_loss,
    ],
    ids=["parts", "background", "concentration", "presence"],
)
def test_a_step_along_the_gradient_lowers_each(loss: Callable[[Tensor], Tensor]) -> None:
    logits = noise(2, 4, 3, 3).requires_grad_()
    before = loss(logits.softmax(1))
    before.backward()
    assert logits.grad is not None and logits.grad.any()
    assert loss((logits - 0.1 * logits.grad).softmax(1)) < before


@pytest.mark.parametrize("name", ["parts", "contrast", "concentration", "presence", "background"])
def test_a_gpu_in_mixed_precision_computes_all_of_them(name: str) -> None:
    """Its autocast refuses some operations; the refusal is asked for here, where there may be no GPU."""
    maps = shares(2, 4, 3, 3)
    calls: dict[str, Callable[[], Tensor]] = {
        "parts": lambda: parts_loss(part_maps(maps, maps)),
        "contrast": lambda: contrast_loss(noise(2, 3, 5)),
        "concentration": lambda: concentration_loss(part_attention(maps), noise(9, 2)),
        "presence": lambda: presence_loss(maps),
        "background": lambda: background_loss(part_maps(maps, maps)),
    }
    key = torch._C.DispatchKey.AutocastCUDA
    with torch._C._IncludeDispatchKeyGuard(key), torch._C._SetExcludeDispatchKeyGuard(key, False):
        assert calls[name]().isfinite()


def test_what_is_not_finite_is_said_by_the_loss_and_not_by_an_error() -> None:
    """The step is then left out."""
    lost = torch.full((1, 3, 2, 2), torch.nan)
    for loss in (parts_loss, background_loss):
        assert loss(part_maps(lost, shares(1, 3, 2, 2))).isnan()


NAMES = ("parts", "contrast", "concentration", "presence", "background")


@pytest.fixture(scope="module")
def config(tiny: Config) -> Config:
    weights = {f"weight_{name}": 2.0 + number for number, name in enumerate(NAMES)}
    return tiny.replace(image_size=64, paint_size=32, backbone="random", weight_equivariance=11.0, **weights)


@pytest.fixture(scope="module")
def passed(config: Config) -> tuple[Batch, Output]:
    """A batch with other views, and what a model makes of it."""
    torch.manual_seed(0)
    model = PosePriorLearner(config)
    for buffer in model.clusters.buffers():  # type: ignore[union-attr]
        buffer.copy_(0.1 * noise(*buffer.shape))
    images, again = noise(2, 3, 3, 64, 64).clamp(-1, 1)
    small = F.avg_pool2d(images, 2)
    batch = Batch(small, small, small, again, SAME.expand(3, -1, -1), images)
    return batch, model(batch.inputs, batch.reference, batch.second_view)


def test_the_total_holds_all_parts_with_their_weights(config: Config, passed: tuple[Batch, Output]) -> None:
    batch, output = passed
    assert output.parts is not None
    output = output._replace(parts=output.parts._replace(descriptors=noise(6, 4, 7)))  # those of a start are all alike
    total, values = losses(config, None, batch, output)
    assert set(NAMES) < set(values)
    weighted = sum(getattr(config, f"weight_{name}") * value for name, value in values.items())
    torch.testing.assert_close(total.detach(), torch.as_tensor(weighted))
    result = output.parts
    assert (
        result is not None and len(result.maps) == len(result.target) == len(result.descriptors) == 6
    )  # of both views
    for name, loss in (("parts", parts_loss), ("background", background_loss)):
        torch.testing.assert_close(values[name], loss(result))
    views = [contrast_loss(result.descriptors[:3]), contrast_loss(result.descriptors[3:])]
    torch.testing.assert_close(values["contrast"], torch.stack(views).mean())  # never between views of one image


def test_how_keypoints_follow_is_chosen(config: Config, passed: tuple[Batch, Output]) -> None:
    batch, output = passed
    assert batch.view_transform is not None
    for kind, loss in (("relative", equivariance_loss), ("absolute", distance_loss)):
        _, values = losses(config.replace(equivariance=kind), None, batch, output._replace(parts=None))
        torch.testing.assert_close(
            values["equivariance"], loss(output.keypoints, output.second_keypoints, batch.view_transform)
        )


def test_parts_have_to_follow_as_keypoints_do(config: Config, passed: tuple[Batch, Output]) -> None:
    """As many places of parts as keypoints: the mean over both."""
    batch, output = passed
    assert batch.view_transform is not None and output.parts is not None
    line = (torch.arange(8) * 8 + 3.5) / 31.5 - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    weights = part_attention(output.parts.maps).unflatten(2, (8, 8))
    places = torch.stack([(weights * axis).sum((2, 3)) for axis in (x, y)], -1)
    own = distance_loss(output.keypoints, output.second_keypoints, batch.view_transform)
    of_parts = distance_loss(places[:3], places[3:], batch.view_transform)
    _, values = losses(config.replace(equivariance="absolute"), None, batch, output)
    torch.testing.assert_close(values["equivariance"], (own + of_parts) / 2)
