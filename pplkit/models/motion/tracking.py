"""Simulated bodies that follow a reference motion: the state they see, the help they get, their reward and their falls.

After DeepMimic (Peng et al. 2018) in the rewards and in starting from states of the reference, and PoseTriplet (Gong et
al. 2022) in the residual force on the root, which here is bounded and starts from a spring towards the reference.
"""

import hashlib
from typing import NamedTuple

import numpy as np

from pplkit.geometry import quaternions
from pplkit.geometry.cameras import inverse_rotation, rotate
from pplkit.models.motion.body import Body
from pplkit.models.motion.body_pose import BodyKinematics, BodyPose, speeds
from pplkit.models.motion.simulation import GRAVITY, Simulation

FALL_METERS = 0.3  # of the neck below the reference's
LOST_METERS = 0.3  # of the root from the reference's
LOOK_AHEAD = (1, 4)  # frames of the reference that a body sees
OFFSET_RADIANS = 0.5  # of a hinge's target for an action of 1
RESIDUAL = 100.0  # N and Nm on the root for an action of 1
SPRING = (2000.0, 300.0)  # N/m and Ns/m, from the root to the reference's; a policy learns to do with a softer one
TURN_SPRING, TURN_DAMPING = 200.0, 20.0  # Nm/rad and Nms/rad
ENDS = ("head", "right wrist", "left wrist", "right ankle", "left ankle")


class Reference:
    """A motion as positions of a body, a frame for each control step.

    Attributes:
        body: The body.
        qpos: (T, Q), see `Body`.
        qvel: (T, V).
        points: (T, P, 3) of the body, in meters.
        local: (T, S, 3, 3) of its segments against their parents.
        fps: Frames a second.
    """

    def __init__(self, body: Body, qpos: np.ndarray, fps: float) -> None:
        self.body, self.qpos, self.fps = body, qpos, fps
        self.qvel = speeds(qpos, fps)
        pose = BodyKinematics(body)(qpos)
        self.points, self.local = pose.points, pose.local

    def __len__(self) -> int:
        return len(self.qpos)

    @property
    def digest(self) -> str:
        """A hash of body and motion."""
        return hashlib.sha256(repr(self.body).encode() + np.ascontiguousarray(self.qpos).tobytes()).hexdigest()[:16]


def heading(quaternion: np.ndarray) -> np.ndarray:
    """The part of turns (..., 4) that is about z; what remains of them turns about a level axis."""
    w, z = quaternion[..., 0], quaternion[..., 3]
    length = np.hypot(w, z)
    # Without a part about z, as lying half turned over, the heading is that of no turn.
    cosine = np.where(length > 1e-9, w, 1.0) / np.where(length > 1e-9, length, 1.0)
    zero = np.zeros_like(w)
    return np.stack([cosine, zero, zero, z / np.maximum(length, 1e-9)], axis=-1)


class Bodies(NamedTuple):
    """The state of N bodies."""

    qpos: np.ndarray  # (N, Q)
    qvel: np.ndarray  # (N, V)
    frame: np.ndarray  # (N,) of the reference, int
    age: np.ndarray  # (N,) control steps since the start, int
    bound: np.ndarray  # (N,) of the residual force, in N and Nm


class Outcome(NamedTuple):
    """What a control step led to."""

    reward: np.ndarray  # (N,) from 0 to 1
    fallen: np.ndarray  # (N,) bool
    error: np.ndarray  # (N,) mean distance of the joints from the reference's, in meters
    force: np.ndarray  # (N,) size of the force on the root, in N
    sound: np.ndarray  # (N,) whether the simulation stayed finite, bool


class Tracking:
    """Advances bodies that follow one reference; `simulation` is of the reference's body and frame rate."""

    def __init__(self, reference: Reference, simulation: Simulation, spring: tuple[float, float] = SPRING) -> None:
        self.reference, self.simulation, self.spring = reference, simulation, spring
        body = reference.body
        self.kinematics = BodyKinematics(body, np.float32)
        names = list(body.points)
        self.neck, self.ends = names.index("thorax"), [names.index(name) for name in ENDS]
        self.joints = len([name for name in names if "toe" not in name])
        self.low = np.array([hinge.low for hinge in body.hinges])
        self.high = np.array([hinge.high for hinge in body.hinges])
        self.weight = body.mass * GRAVITY
        self.actions = len(body.hinges) + 6
        self._pose: tuple[np.ndarray, BodyPose] | None = None

    def start(self, frame: np.ndarray, bound: np.ndarray) -> Bodies:
        """Bodies in the states of the reference at frames (N,)."""
        reference = self.reference
        zero = np.zeros(len(frame), int)
        return Bodies(reference.qpos[frame].copy(), reference.qvel[frame].copy(), frame.copy(), zero, bound.copy())

    def observe(self, bodies: Bodies) -> np.ndarray:
        """What a policy sees (N, O), float32: everything relative to the root and its heading."""
        pose, ref = self.pose(bodies.qpos), self.reference
        turn = inverse_rotation(heading(bodies.qpos[:, 3:7])).astype(np.float32)
        upright = quaternions.matrices(quaternions.multiply(turn, bodies.qpos[:, 3:7]))
        root = bodies.qpos[:, None, :3]

        def seen(vectors: np.ndarray) -> np.ndarray:
            return rotate(vectors.astype(np.float32), turn[:, None]).reshape(len(turn), -1)

        parts = [bodies.qpos[:, 2:3], upright[:, :, :2].reshape(-1, 6), bodies.qpos[:, 7:], bodies.qvel[:, 3:] * 0.1]
        parts += [seen(bodies.qvel[:, None, :3]), seen(pose.points - root)]
        for ahead in LOOK_AHEAD:
            frame = np.minimum(bodies.frame + ahead, len(ref) - 1)
            parts += [seen(ref.points[frame] - root)]
        frame = np.minimum(bodies.frame + 1, len(ref) - 1)
        parts += [ref.qpos[frame, 7:] - bodies.qpos[:, 7:], seen(ref.qvel[frame, None, :3])]
        parts += [bodies.bound[:, None] / RESIDUAL]
        return np.concatenate(parts, axis=1).astype(np.float32)

    def pose(self, qpos: np.ndarray) -> BodyPose:
        """Of positions; that of the last ones is kept."""
        if self._pose is None or self._pose[0] is not qpos:
            self._pose = qpos, self.kinematics(qpos)
        return self._pose[1]

    def wrench(self, bodies: Bodies, residual: np.ndarray) -> np.ndarray:
        """Force and torque on the roots (N, 6): a spring to the reference and what is added, each at most `bound`.

        The spring acts for a whole control step. It aims at where the reference is when that begins: aimed at its end,
        it would keep bodies ahead by one step, 12 cm of a run.
        """
        ref, frame, q = self.reference, bodies.frame, bodies.qpos
        stiffness, damping = self.spring
        force = stiffness * (ref.qpos[frame, :3] - q[:, :3]) + damping * (ref.qvel[frame, :3] - bodies.qvel[:, :3])
        back = quaternions.multiply(inverse_rotation(q[:, 3:7]), ref.qpos[frame, 3:7])
        torque = TURN_SPRING * quaternions.rotation_vectors(back)
        torque += TURN_DAMPING * (rotate(ref.qvel[frame, 3:6], back) - bodies.qvel[:, 3:6])
        turn = heading(q[:, 3:7])
        force += RESIDUAL * rotate(residual[:, :3].astype(np.float64), turn)
        torque += RESIDUAL * residual[:, 3:]
        wrench = np.stack([force, torque], axis=1)
        size = np.linalg.norm(wrench, axis=-1, keepdims=True)
        return (wrench * np.minimum(1, bodies.bound[:, None, None] / np.maximum(size, 1e-9))).reshape(-1, 6)

    def advance(self, bodies: Bodies, actions: np.ndarray) -> tuple[Bodies, Outcome]:
        """One control step towards the next frame; an action of zeros follows with actuators and spring alone.

        Args:
            bodies: N bodies, none at the last frame.
            actions: (N, hinges + 6): offsets of the hinges' targets / OFFSET_RADIANS, and what is added to force (in
                the axes of the heading) and torque / RESIDUAL.
        """
        ref, frame, count = self.reference, bodies.frame + 1, len(self.low)
        # Targets stand still for a step, so that the middle between its ends is the best one.
        middle, speed = ((values[frame] + values[bodies.frame]) / 2 for values in (ref.qpos[:, 7:], ref.qvel[:, 6:]))
        targets = np.clip(middle + OFFSET_RADIANS * actions[:, :count], self.low, self.high)
        targets += self.simulation.lead * speed
        wrench = self.wrench(bodies, actions[:, count:])
        qpos, qvel, sound = self.simulation.advance(bodies.qpos, bodies.qvel, targets, wrench)
        after = Bodies(qpos, qvel, frame, bodies.age + 1, bodies.bound)
        return after, self.outcome(after, wrench, sound)

    def outcome(self, bodies: Bodies, wrench: np.ndarray, sound: np.ndarray) -> Outcome:
        """Rewards, falls and errors of bodies that were moved by a wrench (N, 6)."""
        ref, frame, pose = self.reference, bodies.frame, self.pose(bodies.qpos)
        off = pose.points - ref.points[frame]
        square = (off**2).sum(-1)
        root = square[:, 0]
        lost = (off[:, self.neck, 2] < -FALL_METERS) | (root > LOST_METERS**2) | ~sound
        # The trace of RᵀR' is 1 + 2 cos of the angle between them.
        alike = (pose.local[:, 1:] * ref.local[frame, 1:]).sum((-1, -2))
        turn = 1 - np.clip((alike - 1) / 2, -1, 1)  # about half the square of the angle
        heads = quaternions.rotation_vectors(
            quaternions.multiply(inverse_rotation(bodies.qpos[:, 3:7]), ref.qpos[frame, 3:7])
        )
        speed = bodies.qvel - ref.qvel[frame]
        relative = ((off[:, self.ends] - off[:, :1]) ** 2).sum((-1, -2))
        help_ = np.linalg.norm(wrench, axis=-1) / (0.1 * self.weight)  # its gradient does not vanish at 0
        reward = 0.25 * np.exp(-4 * turn.mean(-1) * 2)
        reward += 0.1 * np.exp(-0.1 * (speed[:, 6:] ** 2).mean(-1))
        reward += 0.2 * np.exp(-10 * relative)
        reward += 0.2 * np.exp(-80 * root - 2 * (heads**2).sum(-1))
        reward += 0.1 * np.exp(-2 * (speed[:, :3] ** 2).sum(-1) - 0.1 * (speed[:, 3:6] ** 2).sum(-1))
        reward += 0.15 * np.exp(-help_)
        force = np.linalg.norm(wrench[:, :3], axis=-1)
        error = np.sqrt(square[:, : self.joints]).mean(-1)
        return Outcome(reward, lost, error, force, sound)
