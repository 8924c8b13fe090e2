"""Imitation on the engine: what a round collects, continuing to the same bits, and what is refused."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from figures import person, swinging

from pplkit.core.errors import PplkitError
from pplkit.models.motion.imitation_config import ImitationConfig
from pplkit.models.motion.tracking import Reference
from pplkit.training.logger import Progress
from pplkit.training.run_folder import RunFolder
from pplkit.training.task import Rank
from pplkit.training.tasks.imitation import ImitationTask, train_imitator, trained_policy

pytest.importorskip("mujoco", reason='MuJoCo simulates bodies: pip install "pplkit[motion]"')
TINY = ImitationConfig(bodies=4, horizon=8, batch_size=16, passes=2, widths=(16,), steps=24, episode=10)
CPU = Rank(torch.device("cpu"), 0, 1, "32-true")
QUIET: dict[str, Any] = {"device": "cpu", "bar": False, "threads": 1}


def reference(frames: int = 40, fps: float = 30.0) -> Reference:
    body = person()
    return Reference(body, swinging(body, frames), fps)


def ready(config: ImitationConfig = TINY) -> ImitationTask:
    task = ImitationTask(config, reference())
    task.setup(CPU)
    return task


def test_a_round_is_given_out_in_parts_as_often_as_it_has_passes() -> None:
    task = ready()
    batches = [task.batch(step) for step in range(4)]
    for first, second in (batches[:2], batches[2:]):
        rows = torch.cat([first.observations, second.observations])
        assert torch.equal(rows.sort(0).values, task.model.observations.sort(0).values)
    assert not torch.equal(batches[0].observations, batches[2].observations)
    reward, falls, error, force = batches[0].statistics.tolist()
    assert 0.5 < reward < 1 and falls == 0 and 1 < error < 60 and 1 < force < 100
    before = task.model.observations.clone()
    task.batch(4)
    assert not torch.equal(before, task.model.observations)


def test_bodies_go_on_from_round_to_round_and_start_anew_when_their_episode_is_over() -> None:
    task = ready()
    task.batch(0)
    first = task.model.bodies()
    assert set(first.age) == {8}
    task.batch(4)
    second = task.model.bodies()
    assert set(second.age) == {6}  # of ten control steps, two belong to the episode before
    assert (second.frame <= len(task.reference) - 1).all()


def test_returns_are_the_discounted_rewards_of_whoever_stands() -> None:
    """With λ = 1 and a value of 0, of an episode that ends by its length within the round."""
    task = ready(TINY.replace(advantage_decay=1.0, discount=0.5, episode=4))
    with torch.no_grad():
        for value in task.model.policy.critic.parameters():
            value.zero_()
    found = task.collected(0).returns.reshape(8, 4)
    # Rewards lie below 1, and the episode ends after four of them; half of what a step is short of 1 is kept.
    assert (found[3] < 0.5).all() and (found[3] > 0.25).all()
    assert torch.allclose(found[2] - 0.5 * found[3], found[3], atol=0.1)
    assert (found[0] > found[3]).all()


def test_the_spring_softens_along_a_geometric_series() -> None:
    task = ready(TINY.replace(spring=(500.0, 75.0)))
    steps = task.config.steps
    assert task.spring(0) == task.spring(steps // 10) == (2000.0, 300.0)
    assert task.spring(steps // 2) == pytest.approx((500.0, 75.0)) == task.spring(steps - 1)
    middle = round(0.3 * steps)
    share = (middle / steps - 0.1) / 0.4
    assert task.spring(middle) == pytest.approx((2000 * 0.25**share, 300 * 0.25**share))


@pytest.mark.parametrize("spring", [(0.0, 80.0), (500.0, float("inf")), (500.0,)])
def test_a_spring_is_two_positive_numbers(spring: tuple[float, ...]) -> None:
    with pytest.raises(PplkitError, match="spring=.*two positive numbers"):
        ImitationConfig(spring=spring)  # type: ignore[arg-type]


def test_bounds_of_the_help_fall_and_some_bodies_get_none() -> None:
    task = ready(TINY.replace(force=100.0, final_force=20.0, free_bodies=0.5))
    assert [task.force(step) for step in (0, 5, 20, 24)] == [100.0, 100.0, 20.0, 20.0]
    rng = np.random.default_rng(0)
    many = task.tracking.start(np.zeros(400, int), np.zeros(400))
    fresh = task.restarted(many, np.ones(400, bool), rng, 100.0)
    assert 0.4 < (fresh.bound == 0).mean() < 0.6 and 90 < fresh.bound.max() <= 100
    assert len(set(fresh.frame)) > 10
    same = task.restarted(many, np.zeros(400, bool), rng, 100.0)
    assert all(np.array_equal(a, b) for a, b in zip(same, many, strict=True))


def test_half_of_the_bodies_that_fell_soon_start_where_they_did() -> None:
    task = ready()
    rng = np.random.default_rng(0)
    many = task.tracking.start(np.full(400, 9), np.zeros(400))
    for age, share in ((-6, 0.5), (-46, 0.0)):
        fallen = many._replace(age=np.full(400, age), frame=np.full(400, 3 - age))
        fresh = task.restarted(fallen, np.ones(400, bool), rng, 100.0)
        assert abs((fresh.frame == 3).mean() - share) < 0.12


def test_a_training_continues_to_the_same_bits(tmp_path: Path) -> None:
    """Also in the middle of a round."""

    def stop(progress: Progress) -> str | None:
        return "stop" if progress.step == 20 else None

    config = TINY.replace(steps=42, bodies=6, batch_size=8)
    train = partial(train_imitator, config, reference(), **QUIET)
    train(tmp_path / "whole")
    assert train(tmp_path / "parts", callback=stop).steps == 20
    assert train(tmp_path / "parts").steps == 42
    whole, parts = (RunFolder(tmp_path / name).last() for name in ("whole", "parts"))
    assert whole is not None and parts is not None
    assert all(torch.equal(value, parts.tensors[name]) for name, value in whole.tensors.items())
    rows = [RunFolder(tmp_path / name).rows("metrics.jsonl") for name in ("whole", "parts")]
    assert rows[0] == rows[1]
    assert {"reward", "falls", "joint_error_mm", "force"} <= set(rows[0][-1])


def test_a_step_of_learning_makes_better_actions_likelier() -> None:
    task = ready()
    batch = task.batch(0)
    optimizer = torch.optim.SGD(task.model.parameters(), lr=1e-3)
    before = task.losses(task.model, batch, 0.0)[0]
    before.backward()
    optimizer.step()
    after = task.losses(task.model, batch, 0.0)[0]
    assert after < before and task.finite(batch)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match="resample it to 30"):
        train_imitator(TINY, reference(fps=25), tmp_path, **QUIET)
    with pytest.raises(PplkitError, match="fewer than two frames"):
        train_imitator(TINY, reference(frames=1), tmp_path, **QUIET)
    with pytest.raises(PplkitError, match="in one process"):
        train_imitator(TINY, reference(), tmp_path, **{**QUIET, "devices": 2})


def test_a_policy_is_read_for_its_motion_alone(tmp_path: Path) -> None:
    train_imitator(TINY.replace(steps=4), reference(), tmp_path, **QUIET)
    task = ready()
    seen = task.tracking.observe(task.tracking.start(np.zeros(2, int), np.zeros(2)))
    assert trained_policy(reference(), tmp_path).act(seen).shape == (2, 34)
    with pytest.raises(PplkitError, match="no imitator of this motion"):
        trained_policy(reference(frames=41), tmp_path)
