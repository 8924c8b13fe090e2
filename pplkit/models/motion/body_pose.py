"""Positions and speeds of a body: its points from qpos, and qvel from the qpos of successive frames."""

from typing import NamedTuple

import numpy as np

from pplkit.geometry import quaternions
from pplkit.geometry.cameras import inverse_rotation
from pplkit.models.motion.body import Body


class BodyPose(NamedTuple):
    """Where a body is."""

    points: np.ndarray  # (..., P, 3) in meters, z up
    rotations: np.ndarray  # (..., S, 3, 3) of the segments against the world
    local: np.ndarray  # (..., S, 3, 3) of the segments against their parents
    origins: np.ndarray  # (..., S, 3) of the segments' joints in the world, in meters


class BodyKinematics:
    """Forward kinematics of one body, for many poses at once."""

    def __init__(self, body: Body, dtype: type[np.floating] = np.float64) -> None:
        self.body, self.dtype = body, dtype
        segments = body.segments
        # Each segment gets three hinges; those that it lacks turn by an angle of 0, the last column.
        self.columns = np.full((len(segments), 3), len(body.hinges))
        axes = np.tile(np.eye(3)[2], (len(segments), 3, 1))
        number = 0
        for place, segment in enumerate(segments):
            for turn, hinge in enumerate(segment.hinges):
                self.columns[place, turn], axes[place, turn] = number, hinge.axis
                number += 1
        zero = np.zeros(axes.shape[:-1])
        x, y, z = np.moveaxis(axes, -1, 0)
        skew: np.ndarray = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*axes.shape, 3)
        self.skew, self.square = skew.astype(dtype), (skew @ skew).astype(dtype)
        self.offsets: np.ndarray = np.array([segment.offset for segment in segments], dtype)
        self.carriers = [segment for segment, _ in body.points.values()]
        self.places: np.ndarray = np.array([place for _, place in body.points.values()], dtype)

    def __call__(self, qpos: np.ndarray) -> BodyPose:
        """The pose for positions (..., Q); see `Body`."""
        qpos = np.asarray(qpos, self.dtype)
        shape, count = qpos.shape[:-1], len(self.offsets)
        angles = np.concatenate([qpos[..., 7:], np.zeros((*shape, 1), self.dtype)], axis=-1)[..., self.columns]
        # Rodrigues: I + sin K + (1 - cos) K².
        sine, rest = np.sin(angles)[..., None, None], 1 - np.cos(angles)[..., None, None]
        turns = np.eye(3, dtype=self.dtype) + sine * self.skew + rest * self.square
        local = turns[..., 0, :, :] @ turns[..., 1, :, :] @ turns[..., 2, :, :]
        local[..., 0, :, :] = quaternions.matrices(qpos[..., 3:7])
        rotations, origins = np.empty_like(local), np.empty((*shape, count, 3), self.dtype)
        rotations[..., 0, :, :], origins[..., 0, :] = local[..., 0, :, :], qpos[..., :3]
        for number, segment in enumerate(self.body.segments[1:], start=1):
            parent = segment.parent
            rotations[..., number, :, :] = rotations[..., parent, :, :] @ local[..., number, :, :]
            origins[..., number, :] = origins[..., parent, :] + rotations[..., parent, :, :] @ self.offsets[number]
        carried = rotations[..., self.carriers, :, :] @ self.places[:, :, None]
        return BodyPose(origins[..., self.carriers, :] + carried[..., 0], rotations, local, origins)


def speeds(qpos: np.ndarray, fps: float) -> np.ndarray:
    """Speeds (T, V) for positions (T, Q), by central differences, one-sided at the ends; zero for a single frame."""
    count = len(qpos)
    if count < 2:
        return np.zeros((count, qpos.shape[-1] - 1))
    before = np.maximum(np.arange(count) - 1, 0)
    after = np.minimum(np.arange(count) + 1, count - 1)
    seconds = ((after - before) / fps)[:, None]
    # In the axes of the root: the turn from the frame before to the one after.
    turn = quaternions.multiply(inverse_rotation(qpos[before, 3:7]), qpos[after, 3:7])
    moved = qpos[after] - qpos[before]
    return np.concatenate([moved[:, :3], quaternions.rotation_vectors(turn), moved[:, 7:]], axis=-1) / seconds
