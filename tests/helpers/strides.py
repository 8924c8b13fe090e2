"""A person who walks a few steps, made by rule, and what a lifter would make of it."""

import numpy as np

from data_prep.motion_synthetic import motion_windows
from pplkit.data.lifter_noise import lifter_noise
from pplkit.data.sequences import PoseSequence
from pplkit.data.skeletons import H36M17


def walk(frames: int = 60, fps: float = 30.0, seed: int = 3, rule: str = "gait") -> PoseSequence:
    """True motion in world space."""
    points = motion_windows(seed, 1, frames, fps, held_out=True, rule=rule)[0]
    return PoseSequence(points=points, fps=fps, skeleton=H36M17, space="world", source="a walk")


def lifted(truth: PoseSequence, seed: int = 0, scale: float = 1.0) -> PoseSequence:
    """The motion with a lifter's errors."""
    points = lifter_noise(np.random.default_rng(seed), truth.points, truth.fps, scale)
    return PoseSequence(points=points, fps=truth.fps, skeleton=truth.skeleton, space=truth.space, source=truth.source)
