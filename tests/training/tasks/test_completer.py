"""The completer: its loss by hand, its lessons, what it writes, that it learns, and that the model stays as it is."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pplkit.core.errors import PplkitError
from pplkit.data import occlusion
from pplkit.data.dataset import Dataset, Split
from pplkit.data.images import to_float
from pplkit.geometry.coordinates import pixel_grid
from pplkit.models.prior.config import Config
from pplkit.models.prior.networks import Completer
from pplkit.models.prior.outputs import CompleterOutput
from pplkit.training.run_folder import RunFolder
from pplkit.training.saved_model import COMPLETER, load, save_completer
from pplkit.training.tasks import completer as completion
from pplkit.training.tasks.completer import (
    DISTANCE_WEIGHT,
    DistillationBatch,
    DistillationSampler,
    check_data,
    complete,
    completer_loss,
)
from pplkit.training.tasks.prior import build, train


@pytest.fixture(scope="module")
def trained(tiny: Config, puppets: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "tiny"
    # Sharp attention from the start: poses that change with the image although hardly anything was learned.
    train(tiny.replace(affine_init="place", sharpness=30.0, learning_rate=1e-3, steps=30), puppets, run, device="cpu")
    return run


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained run, without a completer."""
    (tmp_path / "checkpoints").mkdir()
    for name in ("config.json", *(f"checkpoints/{path.name}" for path in RunFolder(trained).checkpoints())):
        (tmp_path / name).write_bytes((trained / name).read_bytes())
    return tmp_path


def lesson(keypoints: Tensor, hidden: Tensor) -> DistillationBatch:
    return DistillationBatch(torch.zeros(len(keypoints), 3, 2, 2), keypoints, hidden)


def test_the_loss_by_hand() -> None:
    """One keypoint 5 from its place, expected at 2; hidden, with a logit of 0."""
    result = CompleterOutput(torch.tensor([[[3.0, 4.0]]]), torch.tensor([[2.0]]).log(), torch.zeros(1, 1))
    loss = completer_loss(result, lesson(torch.zeros(1, 1, 2), torch.ones(1, 1)))
    assert loss.item() == pytest.approx(DISTANCE_WEIGHT * 5 + 5 / 2 + np.log(2) + np.log(2), rel=1e-5)


def test_the_expected_distance_is_best_where_it_is_the_distance() -> None:
    away = torch.tensor([[0.3, 0.01]])
    keypoints = torch.stack((away, torch.zeros(1, 2)), -1)
    distance = away.log().requires_grad_()
    hidden = torch.zeros(1, 2)
    best = completer_loss(CompleterOutput(keypoints, distance, hidden), lesson(torch.zeros(1, 2, 2), hidden))
    (slope,) = torch.autograd.grad(best, distance)
    torch.testing.assert_close(slope, torch.zeros(1, 2), atol=1e-6, rtol=0)
    for change in (-0.3, 0.3):
        worse = CompleterOutput(keypoints, distance.detach() + change, hidden)
        assert completer_loss(worse, lesson(torch.zeros(1, 2, 2), hidden)) > best


def test_the_expected_distance_does_not_pull_at_the_keypoints() -> None:
    """The slope of the distance alone: DISTANCE_WEIGHT / count along the line to the place, whatever is expected."""
    slopes = []
    for expected in (0.01, 10.0):
        keypoints = torch.tensor([[[3.0, 4.0], [0.0, 2.0]]], requires_grad=True)
        actual = CompleterOutput(keypoints, torch.full((1, 2), expected).log(), torch.zeros(1, 2))
        completer_loss(actual, lesson(torch.zeros(1, 2, 2), torch.zeros(1, 2))).backward()  # type: ignore[no-untyped-call]
        slopes.append(keypoints.grad)
        torch.testing.assert_close(keypoints.grad, DISTANCE_WEIGHT / 2 * torch.tensor([[[0.6, 0.8], [0.0, 1.0]]]))


class Finding:
    """Stands in for a model: finds the middle of what is bright, and says it lies `off` further right."""

    def __init__(self, config: Config, off: float = 0.0) -> None:
        self.config, self.alpha, self.off = config, torch.ones(()), off
        self.backbone = None

    def locate(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """One keypoint."""
        light = (images + 1).mean(1).flatten(1)
        place = light @ pixel_grid(images.shape[-1]) / light.sum(1, keepdim=True)
        return (place + torch.tensor([self.off, 0.0]))[:, None], torch.ones(len(images), 1)


class Spots(dict[str, Any]):
    """A data set of black images with one soft spot each, off the middle."""

    path = "spots"

    def __init__(self) -> None:
        grid, middles = pixel_grid(32).numpy(), np.random.default_rng(0).uniform(-0.4, 0.4, (9, 2)) + [0.15, 0.0]
        light = np.exp(-np.square(grid[None] - middles[:, None]).sum(-1) / (2 * 0.1**2))
        self.images = (255 * light).round().astype(np.uint8).reshape(9, 32, 32, 1).repeat(3, -1)
        super().__init__(train=Split("train", self.images, None, None, None, None, None, [""] * 9))


def taught(config: Config, off: float = 0.0) -> DistillationSampler:
    return DistillationSampler(Finding(config, off), Spots())  # type: ignore[arg-type]


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lessons without holes."""
    monkeypatch.setattr(occlusion, "random_masks", lambda rng, count: np.zeros((count, 32, 32), bool))


@pytest.mark.usefixtures("whole")
@pytest.mark.parametrize("changes", [{"flip": True}, {"flip": False}, {"max_rotation": 0.8, "max_shift": 0.15}])
def test_a_model_that_need_not_follow_answers_the_picture_that_is_shown(tiny: Config, changes: dict[str, Any]) -> None:
    """Turned and moved as in training; where training does neither, as it is, and not mirrored."""
    config = tiny.replace(**changes)
    given = taught(config, off=0.2)(0)
    torch.testing.assert_close(given.keypoints, Finding(config, 0.2).locate(given.images)[0], atol=1e-4, rtol=0)
    originals = to_float(torch.from_numpy(Spots().images))
    as_they_are = [bool((originals == image).flatten(1).all(1).any()) for image in given.images]
    assert not any(as_they_are) if "max_rotation" in changes else all(as_they_are)


@pytest.mark.usefixtures("whole")
def test_the_pose_follows_the_picture(tiny: Config) -> None:
    """Turned and moved: where the spot is now. What the border mirrors can add a second spot, so most, not all."""
    teacher = taught(tiny.replace(max_rotation=0.8, max_shift=0.15, weight_equivariance=0.5))
    given = teacher(3)
    away = (given.keypoints - Finding(tiny).locate(given.images)[0]).norm(dim=-1)[:, 0]
    assert away.median() < 0.02 and (away < 0.05).float().mean() > 0.8
    still = taught(tiny)(3)
    assert (given.keypoints - still.keypoints).norm(dim=-1).mean() > 0.1


def test_hidden_are_the_keypoints_in_holes(tiny: Config) -> None:
    """Grey or another image in the holes, and nothing changed elsewhere."""
    given = taught(tiny)(1)
    rng = np.random.default_rng((tiny.seed, 3, 1))
    rng.integers(9, size=64)
    holes = occlusion.random_masks(rng, 64)  # at 32 pixels a side a patch is a pixel
    expected = occlusion.points_in_mask(holes, given.keypoints.numpy())
    assert np.array_equal(given.hidden.numpy() > 0, expected) and set(given.hidden.unique().tolist()) == {0.0, 1.0}
    where = torch.from_numpy(holes)[:, None].expand(-1, 3, -1, -1)
    grey = (given.images == 0)[where]
    assert 0.6 < grey.float().mean() < 0.95  # GREY is 0.8 of the images
    originals = to_float(torch.from_numpy(Spots().images))
    for image, hole in zip(given.images, where, strict=True):
        assert ((originals == image) | hole).flatten(1).all(1).any()  # untouched elsewhere


def test_a_lesson_is_the_same_each_time_and_steps_and_seeds_differ(tiny: Config) -> None:
    config = tiny.replace(max_rotation=0.2, max_shift=0.1)
    teacher, again, other = taught(config), taught(config), taught(config.replace(seed=1))
    third = teacher(3)
    teacher(0)
    assert all(torch.equal(a, b) for a, b in zip(third, again(3), strict=True))
    assert not torch.equal(third.images, again(4).images) and not torch.equal(third.images, other(3).images)
    assert third.images.shape == (64, 3, 32, 32) and third.keypoints.shape == (64, 1, 2)


def test_what_cannot_teach_is_refused(tiny: Config, run: Path, puppets: Dataset) -> None:
    with pytest.raises(PplkitError, match="spots has no split 'train': prepare the data set again"):
        check_data(Nothing(), tiny)  # type: ignore[arg-type]
    with pytest.raises(PplkitError, match="spots has images of 32 pixels, the model wants 64"):
        check_data(Spots(), tiny.replace(image_size=64))  # type: ignore[arg-type]
    with pytest.raises(PplkitError, match="steps=0 of the completer is too small"):
        complete(run, puppets, steps=0, bar=False)
    with pytest.raises(PplkitError, match="there is no run folder .*nowhere"):
        complete(run / "nowhere", puppets, steps=1, bar=False)
    with pytest.raises(PplkitError, match="device='quantum'"):
        complete(run, puppets, steps=1, device="quantum", bar=False)
    assert not (run / COMPLETER).exists()


class Nothing(dict[str, Any]):
    """A data set without splits."""

    path = "spots"


def images_of(data: Dataset, split: str = "train") -> np.ndarray:
    return np.array(data[split].images)


def test_the_model_stays_as_it_is(run: Path, puppets: Dataset) -> None:
    before = load(run)
    files = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    after = complete(run, puppets, steps=3, device="cpu", bar=False)
    assert {path: path.read_bytes() for path in files} == files
    own = {run / "completer" / name for name in ("config.json", "metrics.jsonl", "training.json", ".training.lock")}
    assert {path for path in run.rglob("*") if path.is_file()} == {
        *files, *own, run / COMPLETER, run / ".training.lock",
    }  # fmt: skip
    for made in (after, load(run)):
        assert made.completer is not None and not made.training and not made.completer.training
        state = made.state_dict()  # statistics of BatchNorm included
        for name, value in before.state_dict().items():
            assert torch.equal(state[name], value), name
        ours, theirs = (m.estimate(images_of(puppets), procedure="published") for m in (made, before))
        assert torch.equal(ours.keypoints, theirs.keypoints) and torch.equal(ours.confidence, theirs.confidence)
    result, again = (m.estimate(images_of(puppets)) for m in (after, load(run)))
    assert torch.equal(result.keypoints, again.keypoints) and torch.equal(result.confidence, again.confidence)
    assert (result.keypoints - before.estimate(images_of(puppets)).keypoints).abs().max() > 1e-4


def weights(run: Path) -> dict[str, Tensor]:
    model = load(run)
    return {} if model.completer is None else model.completer.state_dict()


def test_what_has_been_learned_is_kept_and_can_be_learned_again(run: Path, puppets: Dataset) -> None:
    complete(run, puppets, steps=2, device="cpu", bar=False)
    first, time = weights(run), (run / COMPLETER).stat().st_mtime_ns
    made = complete(run, puppets, steps=2, device="cpu", bar=False)
    assert (run / COMPLETER).stat().st_mtime_ns == time and not made.training and made.completer is not None
    assert not made.completer.training
    complete(run, puppets, steps=3, device="cpu", bar=False)  # more steps: from the start
    other = weights(run)
    assert any(not torch.equal(first[name], other[name]) for name in first)
    complete(run, puppets, steps=2, device="cpu", bar=False)  # fewer: the longer one is kept
    assert all(torch.equal(value, weights(run)[name]) for name, value in other.items())
    (run / COMPLETER).unlink()
    complete(run, puppets, steps=2, device="cpu", bar=False)
    assert all(torch.equal(value, weights(run)[name]) for name, value in first.items())


def test_a_completer_of_other_weights_is_not_taken(run: Path, puppets: Dataset, tiny: Config) -> None:
    complete(run, puppets, steps=1, device="cpu", bar=False)
    folder = RunFolder(run)
    model, optimiser = build(load(run).config)
    folder.save(31, model, optimiser, {})  # the run went on
    assert load(run).completer is None
    made = complete(run, puppets, steps=1, device="cpu", bar=False)
    assert made.completer is not None and load(run).completer is not None


@pytest.mark.parametrize("damage", ["torn", "empty", "text", "checkpoint"])
def test_a_file_that_is_no_completer_is_named(damage: str, run: Path, puppets: Dataset) -> None:
    complete(run, puppets, steps=1, device="cpu", bar=False)
    path, whole = run / COMPLETER, (run / COMPLETER).read_bytes()
    checkpoint = RunFolder(run).checkpoints()[-1].read_bytes()
    path.write_bytes(
        {"torn": whole[: len(whole) // 2], "empty": b"", "text": b"no weights", "checkpoint": checkpoint}[damage]
    )
    message = (
        r"completer\.safetensors (cannot be read \(.*\)|is of another version \(.*\)): delete it, and run `pplkit comp"
    )
    with pytest.raises(PplkitError, match=message) as error:
        load(run)
    assert "\n" not in str(error.value)
    path.unlink()
    assert load(run).completer is None


def test_a_completer_that_does_not_fit_is_named(run: Path) -> None:
    model = load(run)
    model.completer = Completer(model.regressor)
    model.completer.doubt[0] = torch.nn.Linear(5, 8)
    save_completer(RunFolder(run), model, 1)
    with pytest.raises(PplkitError, match=r"completer\.safetensors cannot be read"):
        load(run)


def test_a_completer_learns_to_see_past_what_hides(
    run: Path, puppets: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After 60 steps the pose of a covered image is nearer to that of the complete one than the plain model's."""
    monkeypatch.setattr(completion, "LEARNING_RATE", 3e-3)
    model = complete(run, puppets, steps=60, device="cpu", bar=False)
    images = images_of(puppets)
    complete_ = model.estimate(images, procedure="published").keypoints
    for kind, amount in (("center", 12), ("random", 0.4)):
        covered = occlusion.cover(images, kind, amount).images
        away = {
            name: (model.estimate(covered, procedure=name).keypoints - complete_).norm(dim=-1).mean().item()
            for name in ("published", "completed")
        }
        assert away["completed"] < 0.8 * away["published"]  # about half in runs with three seeds


def test_a_step_that_is_not_finite_is_left_out_and_many_end_it(
    run: Path, puppets: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def spoilt(result: CompleterOutput, given: DistillationBatch) -> Tensor:
        made.append(1)
        return completer_loss(result, given) * (torch.nan if len(made) > few else 1.0)

    few = 3
    monkeypatch.setattr(completion, "completer_loss", spoilt)
    complete(run, puppets, steps=5, device="cpu", bar=False)
    assert all(torch.isfinite(value).all() for value in weights(run).values())
    with pytest.raises(
        PplkitError,
        match="no longer finite at step 12, 12 steps in a row.*look whether the training itself",
    ):
        complete(run, puppets, steps=12, device="cpu", bar=False)
    assert all(torch.isfinite(value).all() for value in weights(run).values())  # the one before is still there


def test_a_run_in_use_gets_no_completer(run: Path, puppets: Dataset) -> None:
    with RunFolder(run).held(), pytest.raises(PplkitError, match="is in use"):
        complete(run, puppets, steps=1, device="cpu", bar=False)
    assert not (run / COMPLETER).exists()
