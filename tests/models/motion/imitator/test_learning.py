from pathlib import Path

import numpy as np
import pytest

from pplkit.models.motion.imitator.learning import RunningNorm, advantages, root_path
from tests.helpers.motion_parity import arrays, close


def test_advantages_by_hand() -> None:
    rewards, values = np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.0, 1.0])
    normal, returns = advantages(rewards, np.array([1.0, 0.0, 1.0]), values, 0.5, 0.5)
    # The episode ends after the second step; the third begins another.
    raw = [1 + 0.5 * 0 - 0.5 + 0.25 * 2, 2.0, 2.0]
    assert np.allclose(returns, raw + values)
    assert np.allclose(normal, (raw - np.mean(raw)) / np.std(raw, ddof=1))


def test_running_norm_is_that_of_all_values_so_far() -> None:
    values = np.random.default_rng(0).normal(3, 2, (50, 2))
    norm = RunningNorm(2)
    last = [norm(row) for row in values][-1]
    assert np.allclose(last, (values[-1] - values.mean(0)) / values.std(0, ddof=1))


def test_a_path_goes_smoothly_through_its_points() -> None:
    points = np.array([[0.0, 0], [4, 0], [4, 4], [0, 4]])
    path = root_path(points)
    assert np.allclose(path[::100], points) and np.allclose(path[-1], points[0])
    steps = np.diff(path[np.r_[0:99, 100:199, 200:299, 300:399]], axis=0)
    turns = np.abs(np.diff(np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))))
    assert turns.max() < 0.2


def test_published_learning(parity: Path) -> None:
    stored = arrays(parity, "imitator")
    rewards, going_on, values = (stored[f"gae_{name}"][:, 0] for name in ("reward", "mask", "value"))
    normal, returns = advantages(rewards, going_on, values)
    close(normal, stored["gae_advantage"][:, 0])
    close(returns, stored["gae_return"][:, 0])
    norm = RunningNorm(4)
    close(np.array([norm(row) for row in stored["zfilter_in"]]), stored["zfilter_out"])
    close(root_path(stored["curve_points"]), stored["curve"])
    assert returns.mean() == pytest.approx(stored["gae_return"].mean(), rel=1e-5)
