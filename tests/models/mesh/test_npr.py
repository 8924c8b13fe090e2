"""The published network: names, sizes, loading, and every number of the released code."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pplkit.core.errors import PplkitError
from pplkit.geometry.mesh import PoissonSolver, farthest_points, jacobians, nearest_points
from pplkit.models.mesh import NPRApplier, NPRExtractor, PoseCode, load_npr
from pplkit.models.mesh.attention import VectorAttention

Networks = tuple[NPRExtractor, NPRApplier]


@pytest.fixture(scope="module")
def folder(parity: Path) -> Path:
    return parity / "mesh"


@pytest.fixture(scope="module")
def arrays(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "mesh_outputs.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def state(folder: Path) -> dict[str, Tensor]:
    """The released names, filled by the rule of the parity arrays."""
    spec = importlib.util.spec_from_file_location("weights", folder.parent / "weights.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    shapes = json.loads((folder / "mesh_keys.json").read_text())
    filled = module.filled({name: torch.empty(shape) for name, shape in shapes.items()})
    return {
        name: value * (0.5 if name.endswith("weight") and value.ndim > 1 else 1)
        if not name.endswith("num_batches_tracked")
        else value.long()
        for name, value in filled.items()
    }


@pytest.fixture(scope="module")
def inputs(arrays: dict[str, np.ndarray]) -> tuple[Tensor, Tensor]:
    """Face centers of the posed source and its field."""
    posed, faces = arrays["posed"], arrays["source_faces"]
    return torch.from_numpy(posed[faces].mean(1)[None]), torch.from_numpy(arrays["jacobians_posed"][None])


def centers(arrays: dict[str, np.ndarray], name: str) -> Tensor:
    return torch.from_numpy(arrays[name][arrays[f"{name}_faces"]].mean(1)[None])


def close(value: Tensor | np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    value = value.detach().numpy() if isinstance(value, Tensor) else value
    assert value.shape == expected.shape
    assert np.abs(value - expected).max() < tolerance


def test_names_and_sizes_are_the_released_ones(folder: Path) -> None:
    shapes = json.loads((folder / "mesh_keys.json").read_text())
    model = nn.ModuleDict({"encoder": NPRExtractor(), "decoder": NPRApplier()})
    assert {name: list(value.shape) for name, value in model.state_dict().items()} == shapes
    assert [sum(p.numel() for p in model[part].parameters()) for part in model] == [3_795_592, 698_049]
    other = json.loads((folder / "mesh_keys_vertices.json").read_text())
    ablation = nn.ModuleDict({"encoder": NPRExtractor(jacobians=False), "decoder": NPRApplier(3)}).state_dict()
    wanted = {name: shape for name, shape in (shapes | other["different"]).items() if name not in other["absent"]}
    assert {name: list(value.shape) for name, value in ablation.items()} == wanted


def test_fields_and_solutions(arrays: dict[str, np.ndarray]) -> None:
    source, faces, posed = arrays["source"], arrays["source_faces"], arrays["posed"]
    close(jacobians(source, faces, posed), arrays["jacobians_posed"], 1e-5)
    close(jacobians(source, faces, source)[::4], arrays["jacobians_source"], 1e-5)
    solution = PoissonSolver(source, faces).solve(arrays["jacobians_posed"].astype(float), pins={0: posed[0]})
    close(solution, arrays["solution_of_jacobians_posed"], 1e-6)


def test_sampling(arrays: dict[str, np.ndarray], inputs: tuple[Tensor, Tensor]) -> None:
    sample = farthest_points(inputs[0], 500)
    assert sample[0].tolist() == arrays["sample_500"].tolist()
    again = farthest_points(inputs[0][0, sample], 100)
    assert again[0].tolist() == arrays["sample_100"].tolist() == list(range(100))
    points = torch.from_numpy(arrays["sampling_points"])[None]
    assert farthest_points(points, 40)[0].tolist() == arrays["sampling_picked"].tolist()


def recorded(network: nn.Module) -> dict[str, Tensor]:
    """Outputs of the modules by name, filled when the network runs."""
    outputs: dict[str, Tensor] = {}
    for name, module in network.named_modules():
        module.register_forward_hook(lambda _, __, output, name=name: outputs.__setitem__(name, output))
    return outputs


def test_running_statistics(
    state: dict[str, Tensor], arrays: dict[str, np.ndarray], inputs: tuple[Tensor, Tensor]
) -> None:
    extractor, applier = load_npr(state)
    layers, at_queries = recorded(extractor), recorded(applier)
    with torch.no_grad():
        code = extractor(*inputs)
        source = applier(code, centers(arrays, "source"))
        attended = at_queries["ct1"]
        target = applier(code, centers(arrays, "target"))
    for name, layer, step in (
        ("stage0_features", "transformer_begin", 8),
        ("stage1_features_sampled", "transition_downs.0", 4),
        ("stage1_features", "elementwise.0", 4),
        ("stage2_features_sampled", "transition_downs.1", 1),
        ("stage2_features", "elementwise.1", 1),
        *((f"final{n}_features", f"final_elementwise.{n}", 1) for n in range(3)),
    ):
        close(layers[layer][::step, ::8], arrays[f"eval_{name}"], 1e-5)
    close(inputs[0][0, farthest_points(inputs[0], 500)[0]], arrays["eval_stage1_points"], 1e-6)
    close(code.keypoints[0], arrays["eval_keypoints"], 1e-6)
    close(code.features[0], arrays["eval_features"], 1e-5)
    close(code.summary[0], arrays["eval_global"], 1e-5)
    close(attended[0, ::8, ::8], arrays["eval_attended_source"], 1e-5)
    close(source[0], arrays["eval_jacobians_source"], 1e-5)
    close(target[0], arrays["eval_jacobians_target"], 1e-5)
    solver = PoissonSolver(arrays["source"], arrays["source_faces"])
    close(solver.solve(source[0], pins={0: arrays["posed"][0]}), arrays["eval_vertices_source"], 1e-6)
    solver = PoissonSolver(arrays["target"], arrays["target_faces"])
    close(solver.solve(target[0]), arrays["eval_vertices_target_centred"], 1e-6)


def test_statistics_of_the_batch(
    state: dict[str, Tensor], arrays: dict[str, np.ndarray], inputs: tuple[Tensor, Tensor]
) -> None:
    extractor, applier = load_npr(state)
    with torch.no_grad():
        code = extractor.train()(*inputs)
        target = applier.train()(code, centers(arrays, "target"))[0]
    close(code.features[0, :, ::8], arrays["batch_features"], 1e-5)
    close(code.summary[0], arrays["batch_global"], 1e-5)
    close(target[::4], arrays["batch_jacobians_target"], 1e-5)
    vertices = PoissonSolver(arrays["target"], arrays["target_faces"]).solve(target)
    close(vertices, arrays["batch_vertices_target_centred"], 1e-6)


def test_training(
    state: dict[str, Tensor], arrays: dict[str, np.ndarray], inputs: tuple[Tensor, Tensor], folder: Path
) -> None:
    extractor, applier = load_npr(state)
    layers = recorded(extractor.train())
    model = nn.ModuleDict({"encoder": extractor, "decoder": applier.train()})
    posed, solver = torch.from_numpy(arrays["posed"]), PoissonSolver(arrays["source"], arrays["source_faces"])

    def forward() -> tuple[Tensor, Tensor, Tensor]:
        field = applier(extractor(*inputs), centers(arrays, "source"))[0]
        vertices = solver.solve(field, pins={0: posed[0]})
        return field, vertices, (vertices - posed).square().mean()

    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    field, vertices, loss = forward()
    field.retain_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    assert field.grad is not None
    assert loss.item() == pytest.approx(float(arrays["train_loss"]), rel=1e-5)
    error = (field - inputs[1][0]).square().mean()
    assert error.item() == pytest.approx(float(arrays["train_loss_jacobians"]), rel=1e-5)
    close(vertices[::4], arrays["train_vertices"], 1e-6)
    close(field.flatten(1)[::4], arrays["train_field"], 1e-5)
    close(layers["elementwise.0"][::4, ::8], arrays["train_stage1_features"], 1e-5)
    close(layers["final_elementwise.2"][:, ::8], arrays["train_final2_features"], 1e-5)
    expected = arrays["grad_of_field"]
    close(field.grad.flatten(1)[::4], expected, 1e-3 * np.abs(expected).max())
    steps = json.loads((folder / "mesh_notes.json").read_text())["gradient_row_steps"]
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert all(gradient is not None for gradient in gradients.values())
    for name, step in steps.items():
        expected = arrays[f"grad:{name}"]
        close(gradients[name][::step], expected, 1e-3 * np.abs(expected).max())  # type: ignore[index]
    norm = torch.stack([gradient.norm() for gradient in gradients.values() if gradient is not None]).norm()
    assert norm.item() == pytest.approx(float(arrays["grad_norm"]), rel=1e-3)
    optimizer.step()
    assert forward()[2].item() == pytest.approx(float(arrays["train_loss_after_one_step"]), rel=1e-4)


def random_networks() -> Networks:
    torch.manual_seed(0)
    return NPRExtractor().eval(), NPRApplier().eval()


def test_chunks_change_neither_outputs_nor_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layer, points, x = VectorAttention(8).train(), torch.randn(300, 3), torch.randn(300, 8, requires_grad=True)
    neighbors = nearest_points(points[None], points[None], 10)[0]
    results = []
    for size in (10_000, 37):
        monkeypatch.setattr("pplkit.models.mesh.attention.QUERIES_AT_ONCE", size)
        layer.zero_grad()
        x.grad = None
        output = layer(points, x, neighbors)
        output.square().sum().backward()
        results.append((output.detach(), x.grad, layer.fc_delta[0].weight.grad))
    for one, other in zip(*results, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-5)


def test_meshes_of_a_batch_do_not_mix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pplkit.models.mesh.npr.SAMPLES", 100)
    extractor, applier = random_networks()
    points, field, queries = torch.randn(2, 60, 3), torch.randn(2, 60, 3, 3), torch.randn(2, 70, 3)
    with torch.no_grad():
        both = applier(extractor(points, field), queries)
        alone = applier(extractor(points[1:], field[1:]), queries[1:])
    assert torch.allclose(alone[0], both[1], atol=1e-5)


def test_few_faces_and_the_ablation_on_vertices() -> None:
    extractor, applier = NPRExtractor(jacobians=False).eval(), NPRApplier(3).eval()
    code = extractor(torch.randn(1, 40, 3))
    assert isinstance(code, PoseCode)
    assert [tuple(part.shape) for part in code] == [(1, 100, 3), (1, 100, 256), (1, 256)]
    assert applier(code, torch.randn(1, 5, 3)).shape == (1, 5, 3)
    with pytest.raises(PplkitError, match=r"needs jacobians of the shape \(1, 40, 3, 3\)"):
        NPRExtractor()(torch.randn(1, 40, 3))


def test_states_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    extractor, applier = random_networks()
    state = nn.ModuleDict({"encoder": extractor, "decoder": applier}).state_dict()
    torch.save({"model": {f"module.{name}": value for name, value in state.items()}}, tmp_path / "ckpt.pt")
    loaded, _ = load_npr(tmp_path / "ckpt.pt")
    assert torch.equal(loaded.fc1.weight, extractor.fc1.weight) and not loaded.training
    del state["encoder.fc1.bias"]
    state |= {"extra": torch.zeros(1), "decoder.fc_out.bias": torch.zeros(3)}
    with pytest.raises(PplkitError) as error:
        load_npr(state)
    assert "the state dict does not fit NPR (missing: encoder.fc1.bias" in str(error.value)
    assert "unknown: extra; of another shape: decoder.fc_out.bias" in str(error.value)
