"""New motion from pieces: one body, no jumps, decided by the seed."""

import numpy as np
import pytest
import torch

from pplkit.core.errors import PplkitError
from pplkit.data.skeletons import H36M17
from pplkit.geometry.plausibility import bone_lengths
from pplkit.inference.hallucination import hallucinate
from pplkit.models.motion.inbetweening import InBetweening
from pplkit.models.motion.inbetweening_config import InBetweeningConfig
from pplkit.models.motion.random_walks import random_walks


def untrained() -> InBetweening:
    """Spherical interpolation."""
    torch.manual_seed(0)
    return InBetweening(InBetweeningConfig(width=16, layers=1)).eval()


def test_new_motion_is_one_body_without_jumps_and_follows_from_its_seed() -> None:
    motions = list(random_walks(0, 3, 60))
    made = hallucinate(untrained(), motions, 120, 5)
    assert made.shape == (120, 17, 3) and made.dtype == np.float32
    np.testing.assert_array_equal(made, hallucinate(untrained(), motions, 120, 5))
    assert np.abs(made - hallucinate(untrained(), motions, 120, 6)).max() > 0.1
    lengths = bone_lengths(made.astype(float), H36M17.bones)
    assert (lengths.max(0) / lengths.min(0)).max() < 1.02
    assert np.linalg.norm(np.diff(made[:, 0], axis=0), axis=-1).max() * 30 < 4
    assert np.linalg.norm(np.diff(made, axis=0), axis=-1).max() < 0.5
    assert made[..., 1].min() > -0.15


def test_the_motion_is_no_copy() -> None:
    motions = list(random_walks(0, 2, 80))
    made = hallucinate(untrained(), motions, 120, 1)
    relative = made - made[:, :1]
    known = np.concatenate([motion - motion[:, :1] for motion in motions])
    nearest = np.abs(relative[:, None] - known[None]).max((2, 3)).min(1)
    assert (nearest > 0.01).mean() > 0.5


def test_too_short_motion_gives_one_sentence() -> None:
    with pytest.raises(PplkitError, match="the least that new motion starts from"):
        hallucinate(untrained(), list(random_walks(0, 1, 8)), 30, 0)
