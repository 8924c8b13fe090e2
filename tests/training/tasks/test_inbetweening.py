"""In-betweening on the engine: what a batch holds, continuing to the same bits, and that errors fall."""

from pathlib import Path
from typing import Any

import pytest
import torch

from data_prep.motion_synthetic import motion_windows
from pplkit.core.errors import PplkitError
from pplkit.models.motion.inbetweening import interpolate, joints_of, poses_of
from pplkit.models.motion.inbetweening_config import InBetweeningConfig
from pplkit.training.logger import Progress
from pplkit.training.task import Rank
from pplkit.training.tasks.inbetweening import InBetweeningTask, load_inbetweening, train_inbetweening

TINY = InBetweeningConfig(width=24, layers=1, batch_size=8, steps=40, warmup_steps=2, longest_gap=12, shortest_gap=10)
CPU = Rank(torch.device("cpu"), 0, 1, "32-true")
QUIET: dict[str, Any] = {"device": "cpu", "bar": False, "threads": 1}


def ready(config: InBetweeningConfig = TINY, rank: Rank = CPU) -> InBetweeningTask:
    task = InBetweeningTask(config, motion_windows)
    task.setup(rank)
    return task


def test_a_batch_is_that_of_its_step_with_a_gap_of_one_length() -> None:
    first, again, other = ready().batch(3), ready().batch(3), ready().batch(4)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.past, other.past)
    assert first.past.shape == (8, 10, 17, 3) and first.future.shape == (8, 2, 17, 3)
    assert 10 <= first.gap.shape[1] <= 12 and first.contact.shape == (8, first.gap.shape[1], 2)


def test_other_postures_keep_bones_and_legs() -> None:
    plain = ready(TINY.replace(posture=0.0)).batch(0)
    bent = ready(TINY.replace(posture=0.3)).batch(0)
    skeleton = TINY.skeleton
    assert torch.allclose(poses_of(bent.gap, skeleton).lengths, poses_of(plain.gap, skeleton).lengths, atol=1e-5)
    assert torch.allclose(bent.gap[:, :, :7], plain.gap[:, :, :7], atol=1e-5)
    assert (bent.gap[:, :, 13] - plain.gap[:, :, 13]).norm(dim=-1).mean() > 0.05


def test_processes_share_the_windows_of_a_batch() -> None:
    whole = ready().batch(0)
    for number in range(2):
        share = ready(rank=Rank(torch.device("cpu"), number, 2, "32-true")).batch(0)
        assert all(torch.equal(part, value[number::2]) for part, value in zip(share, whole, strict=True))


def test_a_training_that_was_stopped_gives_the_same_bits_and_beats_interpolation(tmp_path: Path) -> None:
    def stop(progress: Progress) -> str | None:
        return "stop" if progress.step == 20 else None

    train_inbetweening(TINY, motion_windows, tmp_path / "whole", **QUIET)
    train_inbetweening(TINY, motion_windows, tmp_path / "parts", callback=stop, save_every=20, **QUIET)
    train_inbetweening(TINY, motion_windows, tmp_path / "parts", **QUIET)
    first, second = (load_inbetweening(tmp_path / name) for name in ("whole", "parts"))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    batch = ready().batch(1000)
    gap = batch.gap.shape[1]
    plain = joints_of(interpolate(batch.past[:, -1], batch.future[:, 0], gap, TINY.skeleton), TINY.skeleton)
    with torch.no_grad():
        made = first(batch.past, batch.future, gap).positions
    errors = [float((joints - batch.gap).norm(dim=-1).mean()) for joints in (made, plain)]
    assert errors[0] < errors[1]


def test_other_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"config": {"steps": 3}}')
    with pytest.raises(PplkitError, match="is not a run of in-betweening"):
        load_inbetweening(tmp_path)
