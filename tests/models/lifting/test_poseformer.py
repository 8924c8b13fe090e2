"""PoseFormer: its sizes, what its parts do by hand, loading, and the numbers of the published code."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pplkit.core.errors import PplkitError
from pplkit.models.lifting import PoseFormer, load_poseformer
from pplkit.models.lifting.windows import flip_mean

TAGS = ("f9", "f27", "f81", "small")
PAIRS = tuple(zip((4, 5, 6, 11, 12, 13), (1, 2, 3, 14, 15, 16), strict=True))  # left and right joints of Human3.6M
CLOSE = {"rtol": 0, "atol": 1e-5}


def build(tag: str) -> PoseFormer:
    if tag == "small":
        return PoseFormer(9, joints=16, channels=3, width=16, depth=2, heads=4)
    return PoseFormer(int(tag[1:]))


def tiny(**settings: Any) -> PoseFormer:
    return PoseFormer(3, **{"joints": 4, "width": 8, "depth": 2, "heads": 2, **settings})


@pytest.fixture(scope="module")
def lift(parity: Path) -> Path:
    return parity / "lift"


@pytest.fixture(scope="module")
def arrays(lift: Path) -> dict[str, Tensor]:
    with np.load(lift / "lift_outputs.npz") as file:
        return {name: torch.from_numpy(file[name]) for name in file.files}


@pytest.fixture(scope="module")
def weights(lift: Path) -> ModuleType:
    """The rule by which the released network's weights were filled."""
    spec = importlib.util.spec_from_file_location("lift_weights", lift / "lift_weights.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def models(weights: ModuleType) -> dict[str, PoseFormer]:
    filled = {tag: weights.filled(build(tag).state_dict()) for tag in TAGS}
    return {tag: load_poseformer(state, heads=4 if tag == "small" else 8) for tag, state in filled.items()}


def loss_of(model: PoseFormer, arrays: dict[str, Tensor], tag: str) -> Tensor:
    return (model(arrays[f"{tag}/input"]) - arrays[f"{tag}/target"]).norm(dim=-1).mean()


@pytest.mark.parametrize(("frames", "count"), [(9, 9_563_645), (27, 9_573_455), (81, 9_602_885), (243, 9_691_175)])
def test_the_published_numbers_of_parameters(frames: int, count: int) -> None:
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in PoseFormer(frames).parameters()) == count


def test_initial_values_are_the_published_ones() -> None:
    """Embeddings are 0; weights and biases uniform within 1/√(their inputs), the frames' weights among them."""
    torch.manual_seed(0)
    model = PoseFormer(81)
    assert not model.Spatial_pos_embed.any() and not model.Temporal_pos_embed.any()
    assert 0.95 / 9 < model.weighted_mean.weight.abs().max() <= 1 / 9
    assert model.weighted_mean.weight.mean().abs() < 0.03
    for layer in (model.Spatial_patch_to_embedding, model.blocks[0].mlp.fc2, model.head[1]):
        assert 0.95 < layer.weight.abs().max() * layer.in_features**0.5 <= 1
        assert 0.8 < layer.bias.abs().max() * layer.in_features**0.5 <= 1
    assert (model.Temporal_norm.eps, model.blocks[0].norm1.eps, model.head[0].eps) == (1e-6, 1e-6, 1e-5)


def test_paths_are_dropped_as_published() -> None:
    """Rates rise from 0 to the last; a unit is a frame in the spatial part and a sequence in the temporal part."""
    model = PoseFormer(9, drop_path=0.3)
    for part in (model.Spatial_blocks, model.blocks):
        assert [block.drop_path for block in part] == pytest.approx([0, 0.1, 0.2, 0.3])
    block = tiny(drop_path=0.5).blocks[1]
    torch.manual_seed(0)
    branch = block._dropped(torch.ones(1000, 3, 5))
    assert set(branch.unique().tolist()) == {0, 2}
    assert (branch == branch[:, :1, :1]).all()
    assert 400 < branch[:, 0, 0].count_nonzero() < 600
    assert torch.equal(block.eval()._dropped(branch), branch)


def test_a_window_of_another_shape_is_refused() -> None:
    with pytest.raises(PplkitError, match=r"\(2, 3, 5, 2\): this PoseFormer takes \(B, 3, 4, 2\)"):
        tiny()(torch.zeros(2, 3, 5, 2))
    with pytest.raises(PplkitError, match="heads=3 does not divide width=8"):
        tiny(heads=3)


def test_sizes_and_the_prefix_of_wrapped_networks_are_read_from_the_state(tmp_path: Path) -> None:
    model = PoseFormer(5, joints=3, channels=3, width=8, depth=3, heads=2, mlp_ratio=1.5).eval()
    state = {f"module.{name}": value for name, value in model.state_dict().items()}
    torch.save({"epoch": 7, "random_state": np.random.RandomState(0), "model": state}, tmp_path / "model.bin")
    keypoints = torch.rand(2, 5, 3, 3)
    for source in (state, tmp_path / "model.bin"):
        loaded = load_poseformer(source, heads=2)
        assert not loaded.training
        assert torch.equal(loaded(keypoints), model(keypoints))


def test_a_state_that_does_not_fit_is_refused_with_a_list() -> None:
    state = tiny().state_dict()
    del state["head.0.weight"], state["blocks.1.norm1.bias"]
    state |= {"extra": torch.zeros(1), "head.1.bias": torch.zeros(3)}
    with pytest.raises(PplkitError) as error:
        load_poseformer(state)
    assert "missing: blocks.1.norm1.bias, head.0.weight" in str(error.value)
    assert "unknown: extra; of another shape: head.1.bias" in str(error.value)
    with pytest.raises(PplkitError, match="is not PoseFormer's"):
        load_poseformer({"weight": torch.zeros(2)})


def test_names_and_shapes_are_the_published_ones(lift: Path) -> None:
    published = json.loads((lift / "lift_keys.json").read_text())["state_dict"]
    for tag in TAGS:
        shapes = {name: list(value.shape) for name, value in build(tag).state_dict().items()}
        assert shapes == (published[tag] if tag == "small" else published["f9"] | published[tag])
        if tag in ("f9", "small"):
            assert list(shapes) == list(published[tag])


@pytest.mark.parametrize("tag", TAGS)
def test_published_outputs(tag: str, models: dict[str, PoseFormer], arrays: dict[str, Tensor]) -> None:
    model, keypoints, step = models[tag], arrays[f"{tag}/input"], max(models[tag].frames // 9, 1)
    with torch.no_grad():
        spatial = model.joint_tokens(keypoints)
        temporal = model.frame_tokens(spatial)
        average = model.weighted_mean(temporal)
        output = model(keypoints)
    for name, value in (("after_spatial", spatial), ("after_temporal", temporal)):
        assert torch.allclose(value[:, ::step, ::8], arrays[f"{tag}/{name}"], **CLOSE), name
    assert torch.allclose(average, arrays[f"{tag}/after_average"], **CLOSE)
    assert torch.allclose(output, arrays[f"{tag}/output"], **CLOSE)
    assert torch.allclose(output.double(), arrays[f"{tag}/output_float64"], **CLOSE)


@pytest.mark.parametrize("tag", TAGS)
def test_published_gradients(tag: str, models: dict[str, PoseFormer], arrays: dict[str, Tensor], lift: Path) -> None:
    model = models[tag]
    model.zero_grad()
    loss = loss_of(model, arrays, tag)
    assert loss.item() == pytest.approx(float(arrays[f"{tag}/loss"]), abs=1e-6)
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}
    norms = json.loads((lift / "lift_keys.json").read_text())["gradient_norms"][tag]
    assert gradients.keys() == norms.keys()
    for name, norm in norms.items():
        assert float(gradients[name].norm()) == pytest.approx(norm, rel=1e-4, abs=1e-5), name
    steps = {"Temporal_pos": (1, 1, 16), "qkv": (32, 32), "fc1": (4, 4), "head": (4, 8)}
    kept = [name.removeprefix(f"{tag}/grad/") for name in arrays if name.startswith(f"{tag}/grad/")]
    assert len(kept) == 7
    for name in kept:
        step = next((step for part, step in steps.items() if part in name), ())
        part = gradients[name][tuple(slice(None, None, n) for n in step)]
        assert torch.allclose(part, arrays[f"{tag}/grad/{name}"], **CLOSE), name


def test_published_steps_of_the_optimizer(weights: ModuleType, arrays: dict[str, Tensor]) -> None:
    model = load_poseformer(weights.filled(build("f9").state_dict()))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-4, weight_decay=0.1)
    losses = []
    for _ in range(6):
        loss = loss_of(model, arrays, "f9")
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert losses == pytest.approx(arrays["f9/adamw_losses"].tolist(), abs=1e-6)


def test_published_mean_of_pose_and_mirror_image(models: dict[str, PoseFormer], arrays: dict[str, Tensor]) -> None:
    with torch.no_grad():
        mean = flip_mean(models["f9"], arrays["f9/input"], PAIRS)
    assert torch.allclose(mean, arrays["f9/output_flip_mean"], **CLOSE)
