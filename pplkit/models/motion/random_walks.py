"""Motion of round 0, made without any data: bodies that step along random closed curves (PoseTriplet, CVPR 2022).

Published, a simulated body learns to keep to the curve; here it steps there, which costs nothing. Feet stand on their
prints while they bear the body, knees bend as far as the legs reach, arms and trunk wander at random.
"""

import numpy as np
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter1d

from pplkit.data.skeletons import H36M17
from pplkit.geometry.kinematics import axis_rotation, bend_limb

POINTS, SQUARE, SECONDS = 6, (4.0, 8.0), 16.7  # of a closed curve: points in a square of so many meters, time around it
ANKLE = 0.09  # meters of a standing ankle above the floor
STRIDE = 1.3  # meters from a print of a foot to its next one
BEAR = 0.62  # fraction of a stride for which a foot bears the body
LIFT = 0.12  # meters by which a foot is lifted
SINK = 0.96  # height of the hips in lengths of the leg
HIP, THIGH, SHIN = 0.1355, 0.4517, 0.4470  # meters, of the published body (`skeleton.BODY`)
TRUNK, NECK, HEAD = (0.2415, 0.2555), 0.1, 0.115
SHOULDER, UPPER_ARM, FOREARM = 0.1505, 0.2820, 0.2499
SIZE = 0.08  # deviation of a body's size
WANDER_SECONDS = 0.35  # deviation of the Gaussian that smooths random angles
JOINT = {name: number for number, name in enumerate(H36M17.joints)}


def random_walks(seed: int, count: int, frames: int = 27, fps: float = 30.0) -> np.ndarray:
    """Windows (count, frames, 17, 3) of bodies that walk, joints of h36m17 in meters, y up, the floor at 0, float32.

    The same seed gives the same windows.
    """
    rng = np.random.default_rng([seed, frames, 11])
    return np.stack([_walk(rng, frames, fps) for _ in range(count)]).astype(np.float32)


class _Curve:
    """A random closed curve on the floor, by the distance on it."""

    def __init__(self, rng: np.random.Generator) -> None:
        points = rng.uniform(-0.5, 0.5, (POINTS, 2)) * rng.uniform(*SQUARE)
        turns = np.linspace(0, 1, POINTS + 1)
        self.spline = CubicSpline(turns, np.concatenate([points, points[:1]]), bc_type="periodic")
        self.share = np.linspace(0, 1, 400)
        steps = np.linalg.norm(np.diff(self.spline(self.share), axis=0), axis=1)
        self.distance = np.concatenate([[0], np.cumsum(steps)])

    def at(self, distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places (..., 2) as (x, z), and headings (...) in radians from z towards x."""
        share = np.interp(np.mod(distance, self.distance[-1]), self.distance, self.share)
        x, z = np.moveaxis(self.spline(share, 1), -1, 0)
        return self.spline(share), np.arctan2(x, z)


def _walk(rng: np.random.Generator, frames: int, fps: float) -> np.ndarray:
    """Joints (frames, 17, 3) of one body."""
    curve, size = _Curve(rng), 1 + SIZE * float(np.clip(rng.normal(), -2, 2))
    speed = curve.distance[-1] / SECONDS * rng.uniform(0.5, 1.3)
    distance = rng.uniform(0, curve.distance[-1]) + speed * np.arange(frames) / fps
    place, heading = curve.at(distance)
    stride = STRIDE * size * rng.uniform(0.8, 1.1)
    phase = distance / stride + rng.uniform()
    upright = axis_rotation(heading, 1)

    def wander(size: float, mean: float = 0.0) -> np.ndarray:
        pad = int(4 * WANDER_SECONDS * fps)
        noise = gaussian_filter1d(rng.normal(size=frames + 2 * pad), WANDER_SECONDS * fps)[pad : pad + frames]
        spread = noise * np.sqrt(2 * np.sqrt(np.pi) * WANDER_SECONDS * fps)
        return np.asarray(mean + size * (0.7 * rng.normal() + 0.7 * spread))

    points = np.empty((frames, len(JOINT), 3))
    height = SINK * (THIGH + SHIN) * size + ANKLE - 0.02 * np.cos(4 * np.pi * phase) - abs(wander(0.04))
    points[:, 0] = np.stack([place[:, 0], height, place[:, 1]], -1)
    trunk = upright @ axis_rotation(wander(0.12, 0.05), 0) @ axis_rotation(wander(0.08), 2)
    upper = trunk @ axis_rotation(wander(0.15), 1)
    neck = upper @ axis_rotation(wander(0.2), 0)
    for joint, parent, axes, offset in (
        ("spine", "pelvis", trunk, (0, TRUNK[0], 0)), ("thorax", "spine", upper, (0, TRUNK[1], 0)),
        ("nose", "thorax", neck, (0, NECK, 0.05)), ("head", "nose", neck, (0, HEAD, -0.03)),
    ):  # fmt: skip
        points[:, JOINT[joint]] = points[:, JOINT[parent]] + size * axes @ offset
    for number, side in enumerate(("left", "right")):
        sign = 1 - 2 * number
        points[:, JOINT[f"{side} hip"]] = points[:, 0] + size * upright @ [sign * HIP, 0, 0]
        ankle = _steps(curve, distance, phase + 0.5 * number, stride, sign * HIP * size)
        _bend(points, side, ("hip", "knee", "ankle"), ankle, THIGH * size, SHIN * size, upright[..., 0])
        points[:, JOINT[f"{side} shoulder"]] = points[:, JOINT["thorax"]] + size * upper @ [sign * SHOULDER, 0, 0]
        swing = wander(0.5, 0.2) - 0.4 * sign * np.sin(2 * np.pi * phase)
        arm = upper @ axis_rotation(sign * np.abs(wander(0.35, 0.15)), 2) @ axis_rotation(-swing, 0)
        fore = arm @ axis_rotation(-np.abs(wander(0.5, 0.5)), 0)
        elbow = points[:, JOINT[f"{side} shoulder"]] - size * UPPER_ARM * arm[..., 1]
        points[:, JOINT[f"{side} elbow"]] = elbow
        points[:, JOINT[f"{side} wrist"]] = elbow - size * FOREARM * fore[..., 1]
    return points


def _steps(curve: _Curve, distance: np.ndarray, phase: np.ndarray, stride: float, beside: float) -> np.ndarray:
    """Ankles (T, 3) of one foot; `phase` grows by 1 a stride, and a print lies where the body passes its middle."""
    cycle = np.floor(phase)
    share = np.clip((phase - cycle - BEAR) / (1 - BEAR), 0, 1)
    eased = share**2 * (3 - 2 * share)
    prints = []
    for step in (0, 1):
        middle = distance + (cycle + step + BEAR / 2 - phase) * stride
        place, heading = curve.at(middle)
        across = np.stack([np.cos(heading), -np.sin(heading)], -1)
        prints.append(place + beside * across)
    flat = prints[0] + eased[:, None] * (prints[1] - prints[0])
    return np.stack([flat[:, 0], ANKLE + LIFT * np.sin(np.pi * share), flat[:, 1]], -1)


def _bend(
    points: np.ndarray, side: str, names: tuple[str, str, str], target: np.ndarray, upper: float, lower: float,
    hinge: np.ndarray,
) -> None:  # fmt: skip
    """Fill in knee and ankle of joints (T, 17, 3) whose foot reaches for a target (T, 3)."""
    start, middle, end = (JOINT[f"{side} {name}"] for name in names)
    lengths = np.array([[upper]]), np.array([[lower]])
    points[:, middle], points[:, end] = bend_limb(points[:, start], target, *lengths, hinge)
