"""Errors of a lifter have the sizes that the module says, and last as long."""

import numpy as np
import pytest

from pplkit.data import lifter_noise as module
from pplkit.data.lifter_noise import lifter_noise


def test_the_errors_are_as_large_and_as_slow_as_stated() -> None:
    still = np.zeros((40, 300, 4, 3))
    error = lifter_noise(np.random.default_rng(0), still)
    relative = (error[:, :, 1:] - error[:, :, :1]) / np.sqrt(2)  # without the drift of all joints
    assert relative.std() == pytest.approx(np.hypot(module.SLOW, module.QUICK), rel=0.05)
    ahead = (relative[:, 6:] * relative[:, :-6]).mean() / module.SLOW**2  # 0.2 s at 30 frames a second
    assert ahead == pytest.approx(np.exp(-1), abs=0.05)
    assert error.mean(2)[..., 1].std() == pytest.approx(np.hypot(0.018, 0.026 / 2), rel=0.15)


def test_the_same_seed_gives_the_same_and_the_scale_counts() -> None:
    points = np.ones((5, 3, 3))
    once, again = (lifter_noise(np.random.default_rng(1), points, 25.0) for _ in range(2))
    assert (once == again).all() and once.shape == points.shape
    twice = lifter_noise(np.random.default_rng(1), points, 25.0, scale=2.0)
    assert twice - points == pytest.approx(2 * (once - points))
    assert (lifter_noise(np.random.default_rng(1), points, scale=0.0) == points).all()
