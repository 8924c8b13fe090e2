"""Lifting on the engine: what a batch holds, continuing to the same bits, own skeletons, and that errors fall."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from data_prep.motion_synthetic import lift_batch, motion_windows
from pplkit.core.errors import PplkitError
from pplkit.data.pose_views import SequenceWindows
from pplkit.data.sequences import PoseSequence
from pplkit.data.skeletons import H36M17, Skeleton
from pplkit.models.lifting import LiftingConfig
from pplkit.training import RunFolder, load, load_lifter, train_lifter
from pplkit.training.logger import Progress
from pplkit.training.task import Rank
from pplkit.training.tasks.lifting import LiftingTask, hidden_joints

TINY = LiftingConfig.preset("lift-small").replace(width=32, depth=1, heads=2, batch_size=8, steps=12, warmup_steps=2)
CPU = Rank(torch.device("cpu"), 0, 1, "32-true")
QUIET: dict[str, Any] = {"device": "cpu", "bar": False, "threads": 1}
CHAIN = Skeleton("chain", ("base", "left end", "right end"), (-1, 0, 0), ((1, 2),))


def ready(config: LiftingConfig = TINY, rank: Rank = CPU) -> LiftingTask:
    task = LiftingTask(config, lift_batch)
    task.setup(rank)
    return task


def chains(count: int = 2, frames: int = 40, **options: Any) -> list[PoseSequence]:
    """Sequences of an own skeleton that trembles."""
    rng = np.random.default_rng(0)
    rest = np.array([[0, 1, 0], [0.3, 1.2, 0], [-0.3, 1.2, 0]])
    options = {"fps": 60, "skeleton": CHAIN, "space": "world", **options}
    return [
        PoseSequence(points=rest + 0.05 * rng.normal(size=(frames, 3, 3)), source=f"chain {number}", **options)
        for number in range(count)
    ]


def test_a_batch_is_that_of_its_step_and_relative_to_the_root() -> None:
    first, again, other = ready().batch(3), ready().batch(3), ready().batch(4)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.keypoints, other.keypoints)
    assert first.positions.shape == (8, 27, 17, 3)
    assert first.positions[:, :, 0].abs().max() == 0


def test_processes_share_the_windows_of_a_batch() -> None:
    whole = ready().batch(0)
    for number in range(2):
        share = ready(rank=Rank(torch.device("cpu"), number, 2, "32-true")).batch(0)
        assert all(torch.equal(part, value[number::2]) for part, value in zip(share, whole, strict=True))


def test_half_of_the_windows_are_mirrored_with_left_and_right_exchanged() -> None:
    plain = ready(TINY.replace(flip=False, hidden_joints=0.0)).batch(0)
    mixed = ready(TINY.replace(hidden_joints=0.0)).batch(0)
    turned = torch.tensor([not torch.equal(a, b) for a, b in zip(plain.keypoints, mixed.keypoints, strict=True)])
    assert 0 < turned.sum() < 8
    for before, after in ((plain.keypoints, mixed.keypoints), (plain.positions, mixed.positions)):
        sign = torch.tensor([-1.0, 1.0, 1.0])[: before.shape[-1]]
        assert torch.equal(after[turned], before[turned][..., H36M17.mirror, :] * sign)
    assert torch.equal(mixed.confidence[turned], plain.confidence[turned][..., H36M17.mirror])


def test_hidden_joints_are_as_many_as_the_setting_says_and_never_the_root() -> None:
    hidden = hidden_joints(np.random.default_rng(0), (4000, 5, 17), TINY.replace(hidden_joints=0.2))
    assert not hidden[..., 0].any()
    # Two draws, each of half the share, may hide the same joint; E share² = 16/6 0.2².
    assert hidden[..., 1:].mean() == pytest.approx(0.2 - 0.2**2 * 2 / 3, abs=0.01)
    assert (~hidden).all((1, 2)).mean() == pytest.approx(0.5, abs=0.03)  # of the others, 0.003 hide nothing by chance
    assert hidden[..., 1:].all(1).mean() == pytest.approx(0.1, abs=0.01)


def test_a_training_that_was_stopped_gives_the_same_bits(tmp_path: Path) -> None:
    def stop(progress: Progress) -> str | None:
        return "stop" if progress.step == 6 else None

    train_lifter(TINY, lift_batch, tmp_path / "whole", **QUIET)
    train_lifter(TINY.replace(steps=12), lift_batch, tmp_path / "parts", callback=stop, save_every=6, **QUIET)
    train_lifter(TINY, lift_batch, tmp_path / "parts", **QUIET)
    one, two = (RunFolder(tmp_path / name).last() for name in ("whole", "parts"))
    assert one is not None and two is not None and one.step == two.step == 12
    assert one.method == "lifting"
    assert all(torch.equal(value, two.tensors[name]) for name, value in one.tensors.items())


@pytest.mark.parametrize("preset", ["lift-small", "frame-mlp"])
def test_errors_fall_well_below_those_of_the_mean_pose(preset: str, tmp_path: Path) -> None:
    size = {"width": 72, "batch_size": 32} if preset == "lift-small" else {"width": 256, "batch_size": 256}
    config = LiftingConfig.preset(preset).replace(steps=100, warmup_steps=5, **size)
    test = lift_batch(1, 100, noise=0.0, held_out=True)
    truth = test.positions - test.positions[:, :, :1]
    spread = np.linalg.norm(truth - truth.mean((0, 1)), axis=-1).mean()
    train_lifter(config, partial(lift_batch, fps=30.0), tmp_path / "run", **QUIET)
    run = load_lifter(tmp_path / "run")
    assert run.step == 100 and run.skeleton == H36M17
    with torch.no_grad():
        lifted = run.model(torch.from_numpy(test.keypoints)).positions.numpy()
    assert np.linalg.norm(lifted - truth, axis=-1).mean() < 0.8 * spread


def test_poseformer_is_trained_on_the_center_frame() -> None:
    size = {"frames": 3, "width": 8, "depth": 1, "heads": 2, "batch_size": 4}
    task = ready(LiftingConfig.preset("poseformer-27").replace(**size))
    batch = task.batch(0)
    total, parts, output = task.losses(task.model, batch, 0.0)
    expected = (output.positions[:, 0] - batch.positions[:, 1]).norm(dim=-1).mean()
    assert total.item() == pytest.approx(expected.item(), rel=1e-6)
    assert set(parts) == {"position"}


def test_published_learning_rates_fall_by_a_hundredth_an_epoch() -> None:
    """Two looks of 2 times 40 windows are one batch of 512."""
    task = LiftingTask(LiftingConfig.preset("poseformer-81"), SequenceWindows(chains(), 60))
    assert task.learning_rates(0)[0] == pytest.approx(4e-4)
    assert task.learning_rates(1)[0] == pytest.approx(4e-4 * 0.99)


def test_a_folder_of_sequences_brings_its_skeleton(tmp_path: Path) -> None:
    for number, sequence in enumerate(chains()):
        sequence.write(tmp_path / f"{number}.npz")
    train_lifter(TINY.replace(steps=2), tmp_path, tmp_path / "run", **QUIET)
    run = load_lifter(tmp_path / "run")
    assert (run.skeleton.joints, run.skeleton.flip_pairs, run.fps) == (CHAIN.joints, ((1, 2),), 30.0)
    assert run.model(torch.zeros(1, 5, 3, 2)).positions.shape == (1, 5, 3, 3)


def test_windows_of_pairs_are_those_of_the_detector() -> None:
    """Each keypoint's x is 6 times the number of its frame, so that it says which frame it is from."""
    (joints,) = chains(1, 30, fps=30, space="camera")
    pixels = np.arange(30 * 6, dtype=np.float32).reshape(30, 3, 2)
    keypoints = PoseSequence(points=pixels, fps=30, skeleton=CHAIN, size=(200, 100))
    batch = SequenceWindows([(keypoints, joints)], 30)(0, 50, 3)
    number = (batch.keypoints[:, :, 0, 0] + 1) * 100 / 6
    assert np.allclose(number, number.round(), atol=1e-3)
    assert set(np.diff(number, axis=1).round().ravel()) == {0, 1}
    assert np.array_equal(batch.positions[:, 1], joints.points[number[:, 1].round().astype(int)])


@pytest.mark.parametrize(
    ("sequences", "message"),
    [
        ([], "there are no sequences"),
        (chains(space="camera"), "chain 0 holds poses in camera space"),
        ([PoseSequence(points=np.full((3, 3, 3), np.nan), fps=30, skeleton=CHAIN, space="world")], "lacks joints"),
    ],
)
def test_sequences_that_cannot_be_trained_on(sequences: list[PoseSequence], message: str) -> None:
    with pytest.raises(PplkitError, match=message):
        SequenceWindows(sequences, 30)


def test_runs_of_another_method_are_refused(tmp_path: Path) -> None:
    train_lifter(TINY.replace(steps=1), lift_batch, tmp_path / "lift", **QUIET)
    with pytest.raises(PplkitError, match="is a run of lifting: load it with pplkit.training.load_lifter"):
        load(tmp_path / "lift")
    (tmp_path / "prior").mkdir()
    (tmp_path / "prior/config.json").write_text('{"config": {"keypoints": 4}, "made_by": {}}')
    with pytest.raises(PplkitError, match="is not a run of lifting"):
        load_lifter(tmp_path / "prior")


def test_an_empty_folder_names_what_fills_it(tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match=r"holds no pose sequences.*data_prep\.motion_synthetic"):
        train_lifter(TINY, tmp_path, tmp_path / "run")


def test_sequences_at_another_rate_are_resampled() -> None:
    sequence = PoseSequence(points=motion_windows(0, 1, 61, 60.0)[0], fps=60, skeleton=H36M17, space="world")
    assert SequenceWindows([sequence], 30).examples == 31


def test_the_network_is_compiled_in_place_if_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[nn.Module] = []
    monkeypatch.setattr(nn.Module, "compile", lambda module: compiled.append(module))
    plain, asked = ready(TINY), ready(TINY.replace(compile=True))
    assert compiled == [asked.model]
    assert list(asked.model.state_dict()) == list(plain.model.state_dict())


def test_a_training_starts_from_the_weights_of_another_run(tmp_path: Path) -> None:
    train_lifter(TINY.replace(steps=2), lift_batch, tmp_path / "first", **QUIET)
    task = LiftingTask(TINY, lift_batch, start=tmp_path / "first")
    task.setup(CPU)
    before = load_lifter(tmp_path / "first").model.state_dict()
    assert all(torch.equal(value, before[name]) for name, value in task.model.state_dict().items())
    (tmp_path / "empty").mkdir()
    with pytest.raises(PplkitError, match="no checkpoint to start from"):
        LiftingTask(TINY, lift_batch, start=tmp_path / "empty").setup(CPU)
