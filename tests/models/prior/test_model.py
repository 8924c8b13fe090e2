"""How the parts are wired: what the gradients reach, and that an answer depends on its image alone."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pplkit.core.errors import PplkitError
from pplkit.geometry.coordinates import apply_affine, pixel_grid
from pplkit.geometry.link_map import link_map
from pplkit.models.prior.config import Config
from pplkit.models.prior.losses import boundary_loss, pose_loss, token_loss
from pplkit.models.prior.model import PosePriorLearner


@pytest.fixture
def model(tiny: Config) -> PosePriorLearner:
    torch.manual_seed(0)
    return PosePriorLearner(tiny).eval()


def images(count: int = 3, size: int = 32) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1


def pictures(count: int = 3, size: int = 32) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def grown(module: nn.Module) -> list[str]:
    """Names of the parameters that a gradient has reached."""
    return [name for name, p in module.named_parameters() if p.grad is not None and p.grad.abs().max() > 0]


def test_the_output_of_one_pass_fits_together(model: PosePriorLearner, tiny: Config) -> None:
    out = model(images(), images().flip(-1))
    torch.testing.assert_close(out.prior, model.memory.distil())
    torch.testing.assert_close(out.keypoints, apply_affine(out.affine, out.prior))
    torch.testing.assert_close(out.connectivity, model.connectivity())
    torch.testing.assert_close(out.link_map, link_map(out.keypoints, out.connectivity, 32, tiny.thickness))
    torch.testing.assert_close(out.reconstruction, model.decoder(images().flip(-1), out.link_map))
    torch.testing.assert_close(out.memory.keypoints, model.memory(out.keypoints).keypoints)


def test_connectivity_by_hand(model: PosePriorLearner) -> None:
    model.links.data = torch.tensor([[9.0, 1, -2, 0], [5, 9, 0, 0], [6, 7, 9, 3], [8, 8, 8, 9]]) / 512
    weights = model.connectivity()
    assert torch.equal(weights, weights.T) and torch.equal(weights.diagonal(), torch.zeros(4))
    upper = torch.tensor([[1.0, -2, 0], [0, 0, 0], [0, 0, 3]]).exp().log1p()  # softplus(x) = log(1 + e^x)
    torch.testing.assert_close(weights[0, 1:], upper[0])
    torch.testing.assert_close(weights[2, 3], upper[2, 2])


def test_the_reference_is_scaled_by_alpha(model: PosePriorLearner) -> None:
    pose = torch.zeros(3, 4, 2)
    _, plain = model.decode(pose, images() / 2)
    model.alpha.data.fill_(0.5)
    torch.testing.assert_close(model.decode(pose, images())[1], plain)


def test_the_image_path_leaves_the_memory_alone(model: PosePriorLearner) -> None:
    """T carries no gradient: painting and the boundary train regressor, decoder and links only."""
    out = model.train()(images(), images())
    (out.reconstruction.square().mean() + boundary_loss(out.keypoints * 10)).backward()
    assert not out.prior.requires_grad and grown(model.memory) == []
    assert grown(model.regressor) and grown(model.decoder) and model.links.grad is not None
    assert model.links.grad.abs().max() > 0 and model.alpha.grad is not None


def test_the_memory_losses_leave_the_pose_alone(model: PosePriorLearner) -> None:
    """T' is a constant for the memory: its losses train the memory only."""
    out = model.train()(images(), images())
    (pose_loss(out.keypoints, out.memory.keypoints) + token_loss(out.memory.tokens, out.memory.quantized)).backward()
    assert grown(model.regressor) == [] and grown(model.decoder) == [] and model.links.grad is None
    names = grown(model.memory)
    for part in ("embed.weight", "to_tokens.weight", "token_embed.weight", "from_tokens.weight", "to_points.weight"):
        assert part in names


def test_bytes_and_floats_of_the_same_image_give_the_same_pose(model: PosePriorLearner) -> None:
    bytes_ = pictures()
    floats = torch.from_numpy(bytes_).permute(0, 3, 1, 2).float() / 127.5 - 1
    results = [model.estimate(given) for given in (bytes_, torch.from_numpy(bytes_), floats, floats.numpy())]
    for other in results[1:]:
        assert torch.equal(other.keypoints, results[0].keypoints)
        assert torch.equal(other.confidence, results[0].confidence)
    assert results[0].keypoints.shape == (3, 4, 2) and results[0].confidence.shape == (3, 4)


def test_black_is_minus_one_and_white_one(model: PosePriorLearner) -> None:
    ends = np.array([0, 255], dtype=np.uint8)[:, None, None, None] * np.ones((1, 32, 32, 3), np.uint8)
    prepared = model.prepare(ends)
    assert (prepared[0] == -1).all() and (prepared[1] == 1).all()


@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 80), (17, 9)])
def test_images_of_other_sizes_are_resized(model: PosePriorLearner, height: int, width: int) -> None:
    flat = np.full((2, height, width, 3), 51, np.uint8)
    prepared = model.prepare(flat)
    assert prepared.shape == (2, 3, 32, 32)
    torch.testing.assert_close(prepared, torch.full_like(prepared, 51 / 127.5 - 1))
    assert model.estimate(flat).keypoints.shape == (2, 4, 2)


def test_a_number_of_rounds_below_0_is_refused(model: PosePriorLearner) -> None:
    with pytest.raises(PplkitError, match="iterations=-1 is not possible"):
        model.estimate(pictures(), iterations=-1)
    for wrong in ({"iterations": 2.5}, {"batch_size": 0}):
        with pytest.raises(PplkitError, match="is not possible: give a whole number"):
            model.estimate(pictures(), **wrong)


def test_the_answers_to_several_views_are_taken_back_and_averaged(tiny: Config) -> None:
    """A detector that finds the middle of a bright spot, whatever the view, must say where it is in the image."""
    model = PosePriorLearner(
        tiny.replace(tta_views=12, max_rotation=1.0, max_shift=0.2, flip=True, image_size=64)
    ).eval()
    asked = []

    def middle(given: Tensor) -> Any:
        weights = given[:, 0].flatten(1) + 1  # black is -1
        places = weights @ pixel_grid(64) / weights.sum(1, keepdim=True)
        asked.append(places)
        return None, None, torch.full((len(given), 4, 256), 1 / 256), places[:, None].expand(-1, 4, -1)

    model.regress = middle  # type: ignore[method-assign, assignment]
    image = torch.full((1, 3, 64, 64), -1.0)
    image[..., 25:30, 34:39] = 1  # rows 25 to 29, columns 34 to 38; near the middle, so that no view mirrors it
    keypoints, sure = model.locate(image)
    expected = 2 * torch.tensor([36.0, 27.0]) / 63 - 1
    torch.testing.assert_close(keypoints, expected.expand(1, 4, 2), atol=2e-3, rtol=0)
    assert sure.shape == (1, 4) and len(asked) == 12
    assert torch.cat(asked)[:, 0].std() > 0.1  # the views do differ
    assert torch.equal(model.locate(image)[0], keypoints)


@pytest.mark.parametrize("training", [True, False])
def test_estimating_changes_nothing(model: PosePriorLearner, training: bool) -> None:
    model.train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first = model.estimate(pictures(), iterations=1)
    assert torch.equal(first.keypoints, model.iterate(model.prepare(pictures()), 1)[1].poses.keypoints)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training is training and model.memory.training is training
    assert not first.keypoints.requires_grad


def test_the_mode_comes_back_after_an_error(model: PosePriorLearner) -> None:
    with pytest.raises(PplkitError):
        model.train().estimate(np.zeros((2, 8, 8), np.uint8))
    assert model.training


def test_no_images_no_poses(model: PosePriorLearner) -> None:
    result = model.estimate(np.zeros((0, 32, 32, 3), np.uint8))
    assert result.keypoints.shape == (0, 4, 2) and result.confidence.shape == (0, 4)


@pytest.mark.parametrize(
    ("given", "shape"),
    [
        (np.zeros((2, 8, 8), np.uint8), r"\(2, 8, 8\)"),
        (np.zeros((2, 8, 8, 4), np.uint8), r"\(2, 8, 8, 4\)"),
        (np.zeros((2, 8, 8, 3), np.int64), "int64"),
        (torch.zeros(2, 8, 8, 3), r"\(2, 8, 8, 3\)"),
        (torch.zeros(3, 8), r"\(3, 8\)"),
    ],
)
def test_images_that_cannot_be_read_are_refused(model: PosePriorLearner, given: Any, shape: str) -> None:
    with pytest.raises(PplkitError, match=f"{shape}.*cannot be read: give uint8"):
        model.estimate(given)


def test_rounds_of_iterative_inference_feed_each_other(model: PosePriorLearner) -> None:
    rounds = model.iterate(images(), 2)
    assert len(rounds) == 3 and torch.equal(rounds[0].images, images())
    with torch.no_grad():
        for now, after in zip(rounds, [*rounds[1:], None], strict=True):
            assert now.decoded_pose is not None
            torch.testing.assert_close(now.poses.keypoints, model.regress(now.images)[3])
            torch.testing.assert_close(now.decoded_pose, model.memory(now.poses.keypoints).keypoints)
            torch.testing.assert_close(
                now.reconstruction, model.decode(now.decoded_pose, images())[1]
            )  # the first input
            assert after is None or torch.equal(after.images, now.reconstruction)


def test_estimate_gives_the_last_round(model: PosePriorLearner) -> None:
    rounds = model.iterate(model.prepare(pictures()), 2)
    for iterations in (0, 1, 2):
        result = model.estimate(pictures(), iterations)
        torch.testing.assert_close(result.keypoints, rounds[iterations].poses.keypoints)
        torch.testing.assert_close(result.confidence, rounds[iterations].poses.confidence)


def test_a_decoder_that_paints_small_images_is_given_small_ones(tiny: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """It knows no others; what it paints is enlarged, and read again at the size that the regressor knows."""
    made = PosePriorLearner(tiny.replace(image_size=64, paint_size=32)).eval()
    given = F.interpolate(images(), scale_factor=2)
    sides = []

    def paint(keypoints: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        sides.append(reference.shape[-1])
        return reference[:, :1], reference

    monkeypatch.setattr(made, "decode", paint)
    first, second = made.iterate(given, 1)
    assert set(sides) == {32} and first.reconstruction is not None
    torch.testing.assert_close(first.reconstruction, F.interpolate(images(), scale_factor=2, mode="bilinear"))
    assert torch.equal(second.images, first.reconstruction)


def test_keypoints_with_weak_links_only_get_half_the_strongest(model: PosePriorLearner) -> None:
    """Keypoint 0 is linked to 1, and 2 to 3 at less than a fifth of that: only links of 2 and 3 change."""
    model.links.data.fill_(-20 / model.config.connectivity_scale)
    model.links.data[0, 1] = 10 / model.config.connectivity_scale
    model.links.data[2, 3] = 1.8 / model.config.connectivity_scale  # softplus: 1.953
    model.reinit_weak_links()
    result = model.connectivity().detach()
    assert result[0, 1] == pytest.approx(10, abs=1e-3)
    for pair in ((0, 2), (1, 2), (0, 3), (1, 3), (2, 3)):
        assert result[pair] == pytest.approx(5, abs=1e-3)
    model.links.data.fill_(-20 / model.config.connectivity_scale)
    model.links.data[0, 1] = 10 / model.config.connectivity_scale
    model.links.data[2, 3] = 1.9 / model.config.connectivity_scale  # softplus: 2.039
    before = model.links.clone()
    model.reinit_weak_links()
    assert torch.equal(model.links, before)


def test_frozen_links_are_not_revived() -> None:
    model = PosePriorLearner(Config().smoke().replace(prior_links_trainable=False))
    model.links.data[0, 1] = 10 / model.config.connectivity_scale
    before = model.links.clone()
    model.reinit_weak_links()
    assert torch.equal(model.links, before)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.linspace(0, 1, 3 * 32 * 32).reshape(1, 3, 32, 32), r"float images from 0 to 1 cannot be read"),
        (np.linspace(-3, 255, 3 * 32 * 32).reshape(1, 3, 32, 32), r"from -3 to 255"),
        (np.full((1, 3, 32, 32), np.nan), "from nan"),
        (np.linspace(0, 1, 3 * 32 * 32).reshape(3, 32, 32), r"float images from 0 to 1 cannot be read"),
        ([np.zeros((32, 32), np.uint8)], r"images of shape \(32, 32\)"),
        ("x.png", "x.png is missing"),
        (7, "an image of type int cannot be read"),
    ],
)
def test_images_of_a_range_or_kind_that_is_not_meant_are_refused(tiny: Config, images: Any, message: str) -> None:
    """Fractions of white, as torchvision's ToTensor gives them, would give other poses without a word."""
    with pytest.raises(PplkitError, match=message):
        PosePriorLearner(tiny).eval().estimate(images)
