"""A training that looks through a pretrained network: what learns, what stays, and that it goes on as it was."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from trainings import assert_same_end, trained

import pplkit
from data_prep.synthetic.puppets import generate
from pplkit.data.dataset import Dataset, open_dataset
from pplkit.data.images import to_float
from pplkit.data.writer import DatasetWriter
from pplkit.inference.export.model_card import save_pretrained
from pplkit.inference.export.onnx import ExportedModel, export_onnx
from pplkit.models.layers.backbone import Backbone
from pplkit.models.prior.batches import Batch
from pplkit.models.prior.config import Config
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.networks import part_attention
from pplkit.models.prior.outputs import Poses
from pplkit.training import loop as training
from pplkit.training.checkpoint import read_checkpoint
from pplkit.training.logger import Progress
from pplkit.training.run_folder import RunFolder
from pplkit.training.saved_model import load
from pplkit.training.step import Step, StepResult
from pplkit.training.tasks import completer as completion
from pplkit.training.tasks import prior as prior_task
from pplkit.training.tasks.prior import build, freeze_unused, rates, start_from_features

WEIGHTS = ("weight_parts", "weight_contrast", "weight_concentration", "weight_presence", "weight_background")


@pytest.fixture(scope="module", autouse=True)
def often() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "LOG_EVERY_STEPS", 2)
        patch.setattr(training, "SAVE_EVERY_STEPS", 4)
        yield


@pytest.fixture(scope="module")
def config() -> Config:
    return Config.preset("photographs").smoke().replace(
        backbone="efficientnet-lite0", image_size=64, paint_size=32, keypoints=4, backbone_views=3, steps=8
    )  # fmt: skip


@pytest.fixture(scope="module")
def small(config: Config) -> Config:
    """With the network of random weights, which takes no time."""
    return config.replace(backbone="random")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Humanoids of 64 pixels: 3 videos of 4 frames."""
    out = tmp_path_factory.mktemp("data") / "puppets"
    made = generate("humanoid", 3, 4, size=64, seed=0)
    with DatasetWriter(out, name="puppets", size=64) as writer:
        writer.add("train", made.images, videos=made.videos)
    return open_dataset(out)


class Run(NamedTuple):
    path: Path
    config: Config
    poses: Poses  # of the first images, by the model at the last step


def pictures(data: Dataset, count: int = 3) -> np.ndarray:
    return np.asarray(data["train"].images[:count])


def run_of(config: Config, data: Dataset, path: Path) -> Run:
    results: list[Poses] = []

    def watch(progress: Progress) -> None:
        if progress.step == progress.steps:
            results.append(progress.model.estimate(pictures(data)))

    trained(config, data, path, watch=watch)
    return Run(path, config, results[0])


@pytest.fixture(scope="module")
def frozen(config: Config, data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_of(config, data, tmp_path_factory.mktemp("frozen") / "one")


@pytest.fixture(scope="module")
def opened(config: Config, data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Run:
    settings = config.replace(backbone_trainable=1, reference="frame")
    return run_of(settings, data, tmp_path_factory.mktemp("opened") / "one")


@pytest.fixture
def run(request: pytest.FixtureRequest) -> Run:
    """The run of the name given as a parameter."""
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


both = pytest.mark.parametrize("run", ["frozen", "opened"], indirect=True)


@both
def test_a_run_tells_all_its_losses(run: Run) -> None:
    rows = RunFolder(run.path).rows("metrics.jsonl")
    assert [row["step"] for row in rows] == [2, 4, 6, 8]
    names = {"reconstruction", "boundary", "pose", "tokens", "equivariance"} | {name[7:] for name in WEIGHTS}
    assert all(set(row) == names | {"step", "loss"} for row in rows)
    assert all(math.isfinite(value) for row in rows for value in row.values())
    weights = {name: getattr(run.config, f"weight_{name}") for name in names}
    assert rows[-1]["loss"] == pytest.approx(sum(weight * rows[-1][name] for name, weight in weights.items()), rel=1e-4)
    assert rows[-1]["loss"] < rows[0]["loss"]


@pytest.mark.parametrize(
    ("run", "learned"), [("frozen", ""), ("opened", "backbone.stages.blocks.5.")], indirect=["run"]
)
def test_the_network_stays_as_it_was_but_for_the_stages_that_learn(run: Run, learned: str) -> None:
    start, end = build(run.config)[0].state_dict(), load(run.path).state_dict()
    assert start.keys() == end.keys()
    same = {name for name, value in end.items() if torch.equal(value, start[name])}
    stages = {name for name in end if name.startswith("backbone.stages.")}
    assert same == {name for name in stages if not learned or not name.startswith(learned)}
    optimised = {
        name.split(".", 2)[2]
        for name in read_checkpoint(RunFolder(run.path).checkpoints()[-1]).tensors
        if "optim" in name
    }
    assert {name for name in optimised if name.startswith("backbone.")} == stages - same


@both
def test_stopped_and_continued_is_the_same_to_the_last_bit(run: Run, data: Dataset, tmp_path: Path) -> None:
    def stop(progress: Progress) -> str | None:
        return "stop" if progress.step == 4 else None

    assert trained(run.config, data, tmp_path / "one", watch=stop).steps == 4
    result = load(tmp_path / "one").state_dict()
    assert result["backbone.scale"].ne(1).any() and result["clusters.centres"].any()
    assert trained(run.config, data, tmp_path / "one").steps == 8
    assert_same_end(tmp_path / "one", run.path)


@both
def test_what_is_loaded_answers_as_the_model_in_training_did(run: Run, data: Dataset) -> None:
    poses = load(run.path).estimate(pictures(data))
    assert torch.equal(poses.keypoints, run.poses.keypoints) and torch.equal(poses.confidence, run.poses.confidence)
    assert poses.keypoints.isfinite().all() and poses.keypoints.std(0).max() > 1e-3


def test_a_model_that_was_handed_on_gives_the_same(frozen: Run, data: Dataset, tmp_path: Path) -> None:
    model = load(save_pretrained(frozen.path, tmp_path / "handed"))
    assert torch.equal(model.estimate(pictures(data)).keypoints, frozen.poses.keypoints)
    assert model.config == frozen.config and model.made_by["step"] == 8
    images = model.prepare(pictures(data))
    assert torch.equal(model.find_object(images), load(frozen.path).find_object(images))


@both
def test_a_completer_learns_from_what_the_network_sees(
    run: Run, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completion, "BATCH_SIZE", 8)
    monkeypatch.setattr(completion, "FEATURE_BATCHES", 2)
    folder = tmp_path / "one"
    folder.mkdir()
    for name in ("config.json", "checkpoints"):
        (folder / name).symlink_to(run.path / name)
    before = load(folder).state_dict()
    model = pplkit.complete(folder, data, steps=3, device="cpu", bar=False)
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in before.items())
    again = load(folder)
    assert again.procedure() == "completed" and again.completer is not None
    poses, expected = (one.estimate(pictures(data)) for one in (again, model))
    assert torch.equal(poses.keypoints, expected.keypoints) and poses.hidden is not None
    assert torch.equal(again.estimate(pictures(data), procedure="published").keypoints, run.poses.keypoints)
    assert not torch.equal(poses.keypoints, run.poses.keypoints) and poses.keypoints.isfinite().all()


@pytest.mark.slow
def test_onnx_runtime_gives_the_poses_of_the_model(frozen: Run, data: Dataset, tmp_path: Path) -> None:
    """Of a network with one block of each row and activations not in place, which is written in a third of the time."""
    for name in ("onnx", "onnxscript"):
        pytest.importorskip(name, reason=f"{name} writes ONNX: pip install 'pplkit[onnx]'")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime runs ONNX: pip install 'pplkit[onnx]'")
    model = load(frozen.path)
    for row in model.backbone.stages.blocks:  # type: ignore[union-attr]
        del row[1:]
    for layer in model.modules():
        if isinstance(layer, torch.nn.ReLU6):
            layer.inplace = False
    path = export_onnx(model, tmp_path / "model.onnx")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for count in (1, 5):
        images = model.prepare(pictures(data, count))
        keypoints, sure = session.run(["keypoints", "confidence"], {"images": images.numpy()})
        poses = model.estimate(images)
        np.testing.assert_allclose(keypoints, poses.keypoints, atol=1e-4)
        np.testing.assert_allclose(sure, poses.confidence, atol=1e-4)
    assert poses.keypoints.std(0).max() > 1e-3


def model_of(config: Config) -> PosePriorLearner:
    """A model whose clusters say something, in eval mode."""
    torch.manual_seed(0)
    model = PosePriorLearner(config, pretrained=True)
    generator = torch.Generator().manual_seed(1)
    for buffer in model.clusters.buffers():  # type: ignore[union-attr]
        buffer.copy_(0.1 * torch.randn(buffer.shape, generator=generator))
    with torch.no_grad():
        model.regressor.parts.weight.mul_(10)  # type: ignore[union-attr, operator]
    return model.eval()


def images(data: Dataset, count: int = 3) -> Tensor:
    return to_float(torch.from_numpy(pictures(data, count).copy()))


def test_the_estimator_is_the_model_in_several_views(small: Config, data: Dataset) -> None:
    model = model_of(small.replace(tta_views=3, max_rotation=1.0, max_shift=0.2))
    with torch.no_grad():
        keypoints, sure = ExportedModel(model)(images(data))
    poses = model.estimate(images(data))
    torch.testing.assert_close(keypoints, poses.keypoints, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(sure, poses.confidence, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("regression", ["affine", "free", "attention"])
def test_images_and_rows_of_their_features_give_the_same(regression: str, small: Config, data: Dataset) -> None:
    model, given = model_of(small.replace(regression=regression)), images(data)
    with torch.no_grad():
        rows = model.regressor_input(given)
        assert model.regressor_input(rows) is rows and torch.equal(rows, model.backbone(given))  # type: ignore[misc]
        reference = F.avg_pool2d(given, 2)
        one, other = (
            model(given, reference, given.flip(3)),
            model(rows, reference, model.regressor_input(given.flip(3))),
        )
        torch.testing.assert_close(one.keypoints, other.keypoints)
        torch.testing.assert_close(one.second_keypoints, other.second_keypoints)
        assert one.reconstruction.shape == (3, 3, 32, 32) and (one.keypoints - one.second_keypoints).abs().max() > 1e-3
        for name, result in zip(("prior", "affine", "attention", "keypoints"), model.regress(given), strict=True):
            torch.testing.assert_close(getattr(one, name), result)


def test_what_a_pass_says_of_parts(small: Config, data: Dataset) -> None:
    """Descriptors by hand: the second map's features, each cell by the share of a part's attention that lies there."""
    model, given = model_of(small).train(), images(data)
    with torch.no_grad():
        output = model(given, F.avg_pool2d(given, 2), given.flip(3))
        rows = model.regressor_input(torch.cat((given, given.flip(3))))
        actual = output.parts
        assert actual is not None and model.backbone is not None and model.clusters is not None
        assert actual.maps.shape == (6, 5, 8, 8) and torch.equal(actual.target, model.clusters(model.backbone, rows))
        attention = part_attention(actual.maps)
        torch.testing.assert_close(attention[:3], output.attention)
        shares = F.avg_pool2d(attention.unflatten(2, (8, 8)), 2) * 4
        expected = torch.einsum("bnhw,bchw->bnc", shares, model.backbone.maps(rows)[1])
        torch.testing.assert_close(actual.descriptors, expected, atol=1e-4, rtol=1e-4)
        squares = attention.square()  # in use a part's middle counts more than its rim
        in_use = model.eval()(given, F.avg_pool2d(given, 2)).attention
        torch.testing.assert_close(in_use, squares[:3] / squares[:3].sum(2, keepdim=True))


def test_the_object_is_what_the_clusters_say(small: Config, data: Dataset) -> None:
    model, given = model_of(small), images(data)
    actual = model.find_object(given)
    expected = 1 - model.clusters(model.backbone, model.regressor_input(given))[:, -1]  # type: ignore[misc]
    torch.testing.assert_close(actual, expected)
    assert (
        actual.shape == (3, 4, 4)
        and actual.std() > 0.01
        and torch.equal(model.find_object(model.regressor_input(given)), actual)
    )


def test_all_else_starts_the_same_whatever_the_network_draws(small: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def drawing(*given: Any, **options: Any) -> Backbone:
        torch.rand(7)
        return Backbone(*given, **options)

    one = model_of(small).state_dict()
    monkeypatch.setattr("pplkit.models.prior.model.Backbone", drawing)
    assert all(torch.equal(value, one[name]) for name, value in model_of(small).state_dict().items())


def test_features_are_standardised_over_some_training_images(
    small: Config, data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four of twelve, evenly spread: 0, 4, 7 and 11."""
    monkeypatch.setattr(prior_task, "FEATURE_IMAGES", 4)
    model = PosePriorLearner(small, pretrained=True)
    before = torch.get_rng_state()
    start_from_features(model, data["train"].images)
    assert torch.equal(torch.get_rng_state(), before) and model.backbone is not None and model.clusters is not None
    looked = to_float(torch.from_numpy(np.asarray(data["train"].images[[0, 4, 7, 11]])))
    with torch.no_grad():
        rows = model.backbone(looked)
    for one in model.backbone.maps(rows):
        assert one.mean((0, 2, 3)).abs().max() < 1e-4
        torch.testing.assert_close(one.std((0, 2, 3), correction=0), torch.ones(64), atol=1e-3, rtol=0)
    expected = type(model.clusters)(4, 128)
    expected.fit(model.backbone.stacked(rows, 4))
    for name, value in model.clusters.state_dict().items():
        torch.testing.assert_close(value, expected.state_dict()[name], atol=1e-4, rtol=1e-4)
    assert model.clusters.centres.any()


def test_without_a_network_there_is_nothing_to_start_from(tiny: Config, puppets: Dataset) -> None:
    model = PosePriorLearner(tiny)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    start_from_features(model, puppets["train"].images)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_stages_that_learn_have_a_rate_of_their_own(small: Config) -> None:
    model, optimiser = build(small.replace(backbone_trainable=1, backbone_learning_rate=3e-4))
    groups = [{id(value) for value in group["params"]} for group in optimiser.param_groups]
    names = {id(value): name for name, value in model.named_parameters()}
    assert {names[one] for one in groups[3]} == {
        "backbone.stages.blocks.3.1.weight",
        "backbone.stages.blocks.3.3.weight",
    }
    assert not any(names[one].startswith("backbone.") for group in groups[:3] for one in group)
    assert sum(map(len, groups)) == len(set().union(*groups))
    frozen_model, frozen_optimiser = build(small)
    assert len(frozen_optimiser.param_groups) == 3
    learning = {id(value) for value in frozen_model.parameters() if value.requires_grad}
    assert learning <= {id(value) for group in frozen_optimiser.param_groups for value in group["params"]}
    falling = small.replace(backbone_learning_rate=3e-4, final_learning_rate=0.1, steps=100, lr_hold=0.0)
    assert [rates(falling, step)[3] / 3e-4 for step in (0, 50, 100)] == pytest.approx([1, 0.55, 0.1])


@pytest.mark.parametrize("trainable", [0, 1])
def test_with_several_processes_what_no_loss_reaches_is_frozen(small: Config, trainable: int) -> None:
    """Otherwise one would wait for its gradient."""
    model, _ = build(small.replace(backbone_trainable=trainable))
    freeze_unused(model)
    left = {name for name, value in model.named_parameters() if value.requires_grad}
    assert {name for name in left if name.startswith("backbone.")} == (
        {"backbone.stages.blocks.3.1.weight", "backbone.stages.blocks.3.3.weight"} if trainable else set()
    )
    assert all(name in left for name, _ in model.named_parameters() if name.startswith(("regressor.", "decoder.")))
    assert all(value.grad is None for value in model.parameters())


class Lost(Step):
    """Its fourth step, finite itself, leads to where no later one is."""

    calls = 0

    def __call__(self, batch: Batch, share: float = 0.0) -> StepResult:
        for group in self.guard.optimizer.param_groups if Lost.calls == 3 else ():
            group["lr"] = 1e38
        Lost.calls += 1
        return super().__call__(batch, share)


@pytest.mark.parametrize("trainable", [0, 1])
def test_a_training_that_is_lost_starts_again_with_the_network_as_it_was(
    trainable: int, small: Config, data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "Step", Lost)
    monkeypatch.setattr(Lost, "calls", 0)
    monkeypatch.setattr(training, "SAVE_EVERY_STEPS", 200)
    settings = small.replace(backbone_trainable=trainable)
    result = trained(settings, data, tmp_path / "one")
    assert len(result.notes) == 1 and "back to step 0, with 0.3 of the learning rate" in result.notes[0]
    begun, end = build(settings)[0], load(tmp_path / "one")
    start_from_features(begun, data["train"].images)
    for name, value in end.state_dict().items():
        if name.startswith(("backbone.", "clusters.")):
            torch.testing.assert_close(value, begun.state_dict()[name], atol=0.02, rtol=0)


def test_without_background_what_is_no_object_is_grey(small: Config, data: Dataset) -> None:
    model, given = model_of(small.replace(background=False)), images(data)
    batch = Batch(F.avg_pool2d(given, 2), F.avg_pool2d(given, 2).flip(2), F.avg_pool2d(given, 2), features=given)
    result = model.without_background(batch)
    own = F.interpolate(model.find_object(given)[:, None], size=32, mode="bilinear", align_corners=False)
    torch.testing.assert_close(result.target, batch.target * own)
    torch.testing.assert_close(result.reference, batch.reference * own)
    assert result.images is batch.images and result.features is given


def test_a_run_without_background_trains(small: Config, data: Dataset, tmp_path: Path) -> None:
    result = trained(small.replace(background=False, steps=3), data, tmp_path / "one")
    assert math.isfinite(result.loss) and result.steps == 3
