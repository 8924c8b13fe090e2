"""The model against the released code: the same weights, the same numbers.

The weights follow from a rule (tests/parity/deterministic.py); what the released code computed from them is stored in
tests/parity/official_outputs.npz, with coordinates as (row, column) and some large arrays thinned out.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from parity.deterministic import FOLDER, MEAN, STD, frame, official_state, outputs
from torch import Tensor, nn

from pplkit.core.errors import PplkitError
from pplkit.geometry.link_map import link_map
from pplkit.models.layers.perceptual import PerceptualFeatures
from pplkit.models.prior.batches import Batch
from pplkit.models.prior.config import Config
from pplkit.models.prior.losses import losses, reconstruction_loss, token_loss
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.released_weights import load_official, translate

CLOSE = 2e-6  # the largest outputs are of the order of 10; float32 has 7 digits

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    return official_state()


@pytest.fixture(scope="module")
def model(state: State) -> PosePriorLearner:
    return load_official(state)


@pytest.fixture(scope="module")
def known() -> dict[str, np.ndarray]:
    return outputs()


@pytest.fixture(scope="module")
def vgg(state: State) -> PerceptualFeatures:
    """The released VGG16 from the state dict: vgg_loss.blocks.<block>.<number in torchvision's features>."""
    layers = {0: (0, 2), 1: (5, 7), 2: (10, 12, 14), 3: (17, 19, 21)}
    blocks = []
    for block, numbers in layers.items():
        parts: list[nn.Module] = [nn.MaxPool2d(2)] if block else []
        for number in numbers:
            name = f"vgg_loss.blocks.{block}.{number}"
            outputs_, inputs = state[f"{name}.weight"].shape[:2]
            conv = nn.Conv2d(inputs, outputs_, 3, padding=1)
            conv.load_state_dict({"weight": state[f"{name}.weight"], "bias": state[f"{name}.bias"]})
            parts += [conv, nn.ReLU()]
        blocks.append(nn.Sequential(*parts))
    return PerceptualFeatures(blocks, 224, list(MEAN), list(STD))


def check(actual: Tensor, expected: np.ndarray, tolerance: float = CLOSE) -> None:
    np.testing.assert_allclose(actual.detach().numpy(), expected, atol=tolerance, rtol=tolerance)


def distance(actual: Tensor, expected: np.ndarray) -> float:
    """Length of the difference of two arrays, relative to that of the expected one."""
    return float(np.linalg.norm(actual.detach().numpy() - expected) / np.linalg.norm(expected))


def test_the_rule_fills_as_the_shared_one_does(parity: Path, state: State) -> None:
    """The rule is written anew here; the files beside the released outputs hold the original."""
    for name in ("official_keys.json", "official_outputs.npz"):
        assert (parity / name).read_bytes() == (FOLDER / name).read_bytes()
    scope: dict[str, object] = {}
    exec(compile((parity / "weights.py").read_text(), "weights.py", "exec"), scope)
    filled = scope["filled"](state)  # type: ignore[operator]
    assert [name for name in state if not torch.equal(filled[name], state[name])] == []


def test_every_released_tensor_has_one_place_and_every_place_a_tensor(model: PosePriorLearner) -> None:
    shapes = json.loads((FOLDER / "official_keys.json").read_text())
    places = [place for name in shapes if (place := translate(name))]
    assert len(places) == len(set(places)) and set(places) == set(model.state_dict())
    left_out = {name.split(".")[0] for name in shapes if translate(name) is None}
    assert left_out == {"regressor", "vgg_loss"} and translate("regressor.coord") is None


def test_the_regressor(model: PosePriorLearner, known: dict[str, np.ndarray]) -> None:
    with torch.no_grad():
        prior, affine, _, keypoints = model.regress(frame())
    check(prior.flip(-1), known["prior"])
    check(keypoints.flip(-1), known["keypoints"])
    rows_first = affine[:, :, [1, 0]][..., [1, 0, 2]]  # both the new and the old coordinates change places
    check(rows_first, known["theta"])


def test_links_and_reconstruction(model: PosePriorLearner, known: dict[str, np.ndarray]) -> None:
    pose = torch.from_numpy(known["pose"]).flip(-1)
    check(model.connectivity(), known["connectivity"])
    with torch.no_grad():
        heat, reconstruction = model.decode(pose, frame())
    check(heat[..., ::4, ::4], known["heat"])
    check(link_map(pose, model.connectivity(), 128, 1e-3), heat.numpy())
    check(reconstruction[..., ::4, ::4], known["reconstruction"])


def test_the_memory(model: PosePriorLearner, known: dict[str, np.ndarray]) -> None:
    with torch.no_grad():
        result = model.memory(torch.from_numpy(known["pose"]).flip(-1))
    check(result.keypoints.flip(-1), known["memory_output"])
    check(token_loss(result.tokens, result.quantized), known["vq_loss"])


def test_one_update_of_the_memory(state: State, known: dict[str, np.ndarray]) -> None:
    memory = load_official(state).memory.train()
    memory(torch.from_numpy(known["pose"]).flip(-1))
    check(memory.counts, known["ema_cluster_size_after_one_update"])
    check(memory.codebook[::8, ::4, ::64], known["codebook_after_one_update"])


@pytest.mark.slow
def test_the_perceptual_loss(model: PosePriorLearner, vgg: PerceptualFeatures, known: dict[str, np.ndarray]) -> None:
    with torch.no_grad():
        _, reconstruction = model.decode(torch.from_numpy(known["pose"]).flip(-1), frame())
        check(reconstruction_loss(vgg, frame(), reconstruction), known["perceptual_loss"])


GRADIENTS = {
    "grad_translator_last_conv": "translator.conv.weight",
    "grad_connectivity": "skeleton_scalar",
    "grad_regressor_first_conv": "regressor.conv.0.net.0.weight",
    "grad_memory_encoder_start": "memory.encoder_start.weight",
}


def step(state: State, vgg: PerceptualFeatures, images: Tensor) -> tuple[Tensor, State, State]:
    """Total, parts and the stored gradients of one step: images as their own reference, no link regularisation."""
    model = load_official(state).train()
    config = model.config.replace(weight_links=0.0, weight_pose=100.0)
    total, parts = losses(config, vgg, Batch(images, images, images), model(images, images))
    total.backward()
    gradients = dict(model.named_parameters())
    return total, parts, {name: gradients[str(translate(place))].grad for name, place in GRADIENTS.items()}  # type: ignore[misc]


@pytest.mark.slow
def test_one_training_step(state: State, vgg: PerceptualFeatures, known: dict[str, np.ndarray]) -> None:
    """Losses number by number, and the gradient of the memory, which does not come through the L1 loss.

    The other three do, and carry the sign of each difference of features. Rounding turns it where they are near zero:
    noise of 1e-7 on the images, which is the rounding of float32, moves these gradients by 8e-5 to 4e-3 of their
    length. So they are asked to lie no farther from the stored ones than twice what two such noises move them,
    and in no case farther than 5e-3.
    """
    total, parts, gradients = step(state, vgg, frame())
    check(total, known["train_loss"])
    check(parts["reconstruction"], known["train_recon_perceptual_loss"])
    check(parts["boundary"], known["train_boundary_loss"])
    check(100 * parts["pose"], known["train_consistency"])
    check(parts["tokens"], known["train_vq_loss"])
    check(gradients.pop("grad_memory_encoder_start").flip(1)[::16], known["grad_memory_encoder_start"], 1e-5)
    gradients["grad_regressor_first_conv"] = gradients["grad_regressor_first_conv"][::16]
    moved = dict.fromkeys(gradients, 0.0)
    for seed in range(2):
        noise = 1e-7 * torch.randn(frame().shape, generator=torch.Generator().manual_seed(seed))
        again = step(state, vgg, frame() + noise)[2]
        again["grad_regressor_first_conv"] = again["grad_regressor_first_conv"][::16]
        moved = {name: max(far, distance(again[name], gradients[name].numpy())) for name, far in moved.items()}
    for name, gradient in gradients.items():
        assert distance(gradient, known[name]) < min(2 * moved[name], 5e-3), name


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"translator.conv.bias": None}, "does not fit the model .*decoder.paint.bias"),
        ({"memory.encoder_start.weight": None}, "does not fit the model .*memory.embed.weight"),
        ({"translator.conv.bias": torch.zeros(4)}, "does not fit the model .*decoder.paint.bias"),
        ({"translator.wings.bias": torch.zeros(4)}, "'translator.wings.bias' is no tensor of the released code"),
    ],
)
def test_states_that_do_not_fit_are_refused(state: State, change: dict[str, Tensor | None], message: str) -> None:
    changed = {name: value for name, value in {**state, **change}.items() if value is not None}
    with pytest.raises(PplkitError, match=message) as caught:
        load_official(changed)
    assert "\n" not in str(caught.value)


def test_another_number_of_keypoints_is_seen_from_the_state(state: State) -> None:
    with pytest.raises(PplkitError, match="does not fit the model"):
        load_official(state, Config.preset("paper").replace(keypoints=10))
    smaller = {**state, "skeleton_scalar": torch.zeros(10, 10)}  # all else is still of 16: only those are named
    with pytest.raises(PplkitError, match="does not fit the model") as caught:
        load_official(smaller)
    assert "links" not in str(caught.value) and "\n" not in str(caught.value)
