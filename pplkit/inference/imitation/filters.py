"""Imitation by filters: joints smoothed, bones of one length, feet locked where they touch the floor. Milliseconds."""

import numpy as np

from pplkit.data.bvh import constant_bones
from pplkit.geometry.kinematics import bend_limb
from pplkit.geometry.plausibility import UP
from pplkit.inference.imitation.clip import Clip, Imitation
from pplkit.inference.imitation.contact import SMOOTHING, smoothed

STRAIGHT = 0.02  # sine of a knee's bend, below which its direction is mostly noise
BLEND = 0.15  # seconds over which a foot returns to its own path after contact


def imitate_clip(clip: Clip, *, smoothing: float = SMOOTHING, foot_lock: bool = True) -> Imitation:
    """The clip smoothed over `smoothing` seconds, with bones of their median length, and feet locked in contact.

    A foot in contact stays at the mean of its places, at its height when standing; the knee follows by two-bone inverse
    kinematics, which keeps both lengths. Before and after, the shift fades out over 0.15 s.
    """
    points = constant_bones(smoothed(clip.points, clip.fps, smoothing), clip.skeleton)
    if foot_lock:
        points = locked_feet(points, clip)
    return Imitation(points)


def locked_feet(points: np.ndarray, clip: Clip) -> np.ndarray:
    """Joints (T, J, 3) with each foot at one place for each time of contact, in reach of its leg."""
    result = points.copy()
    left = points[:, clip.legs[0, 0]] - points[:, clip.legs[1, 0]]
    left /= np.maximum(np.linalg.norm(left, axis=-1, keepdims=True), 1e-9)
    for side, (hip, knee, ankle) in enumerate(clip.legs):
        target = _targets(points[:, ankle], clip.touches[:, side], clip)
        upper = np.linalg.norm(points[:, knee] - points[:, hip], axis=-1, keepdims=True)
        lower = np.linalg.norm(points[:, ankle] - points[:, knee], axis=-1, keepdims=True)
        # The hinge bends the knee to where it is now; that of a straight leg, to the front.
        side_axis = np.cross(points[:, knee] - points[:, hip], points[:, ankle] - points[:, knee])
        hinge = side_axis + STRAIGHT * upper * lower * left
        result[:, knee], result[:, ankle] = bend_limb(points[:, hip], target, upper, lower, hinge)
        for below in _below(clip, ankle):
            result[:, below] += result[:, ankle] - points[:, ankle]
    return result


def _targets(path: np.ndarray, touches: np.ndarray, clip: Clip) -> np.ndarray:
    """Where a foot (T, 3) shall be."""
    shift, known = np.zeros_like(path), touches.copy()
    edges = np.flatnonzero(np.diff(np.r_[0, touches.astype(int), 0]))
    for start, end in edges.reshape(-1, 2):
        place = path[start:end].mean(0)
        place[UP] = clip.rest
        shift[start:end] = place - path[start:end]
    # Away from contact, the shift of the nearest contact fades out.
    frames = np.arange(len(path))
    fade = np.zeros_like(path)
    if known.any():
        standing = np.flatnonzero(known)
        nearest = standing[np.abs(frames[:, None] - standing).argmin(1)]
        share = np.clip(1 - np.abs(frames - nearest) / (BLEND * clip.fps), 0, 1)
        fade = shift[nearest] * (share**2 * (3 - 2 * share))[:, None]
    return path + fade


def _below(clip: Clip, joint: int) -> list[int]:
    """All joints that hang on `joint`."""
    joints: list[int] = []
    for child in clip.skeleton.order:
        if clip.skeleton.parents[child] in (joint, *joints):
            joints.append(child)
    return joints
