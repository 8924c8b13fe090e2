"""A clip followed by a simulated body: its reference, what the body does, and the clip's joints on it."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from pplkit.data.skeletons import to_h36m17
from pplkit.inference.imitation.clip import Clip, Imitation
from pplkit.inference.imitation.contact import smoothed
from pplkit.models.motion.body import ANKLE, TOE, bone_lengths, humanoid
from pplkit.models.motion.body_pose import BodyKinematics
from pplkit.models.motion.mjcf import STEP_SECONDS
from pplkit.models.motion.retarget import from_body_axes, retargeted, to_body_axes
from pplkit.models.motion.simulation import GRAVITY, Simulation
from pplkit.models.motion.tracking import SPRING, Reference, Tracking

Act = Callable[[np.ndarray], np.ndarray]
"""From what bodies see (N, O) to their actions (N, A)."""


class Follower(NamedTuple):
    """A clip and the body that follows it."""

    clip: Clip
    joints: np.ndarray  # (T, J, 3) of the clip, smoothed, in the axes of bodies
    reference: Reference
    rise: float  # meters by which joints and reference are higher than the clip, whose ankles may stand lower or higher


class Followed(NamedTuple):
    """What a body did."""

    qpos: np.ndarray  # (T, Q)
    fallen: np.ndarray  # (T,) bool, whether it fell on the way to a frame, where it starts anew
    force: np.ndarray  # (T,) on its root, in N


def substeps(fps: float) -> int:
    """Steps of the simulator in a frame, of about 1/240 s."""
    return max(1, round(1 / (STEP_SECONDS * fps)))


def simulation_of(reference: Reference) -> Simulation:
    """The simulation whose control steps are the frames of the reference."""
    count = substeps(reference.fps)
    return Simulation(reference.body, count, step=1 / (count * reference.fps))


def follower(clip: Clip, smoothing: float) -> Follower:
    """A body with the bone lengths of the clip, and its positions at each frame, smoothed over `smoothing` seconds.

    Where a foot of the clip stands, its sole is on the ground. Raises PplkitError for bones without length.
    """
    joints = to_body_axes(smoothed(clip.points, clip.fps, smoothing))
    people, _ = to_h36m17(joints, clip.skeleton)
    people = people.astype(float)
    body = humanoid(bone_lengths(people))
    rise = ANKLE * body.points["left toe"][1][0] / TOE - clip.rest
    joints, people = joints + [0, 0, rise], people + [0, 0, rise]
    return Follower(clip, joints, Reference(body, retargeted(body, people), clip.fps), rise)


def follow(
    reference: Reference, force: float, act: Act | None = None, spring: tuple[float, float] = SPRING
) -> Followed:
    """What a body does that starts in the reference's first state, and after a fall in that of the frame it fell at.

    `force` bounds the help of its root, in N; `act` gives its actions, none by default; `spring` is the one to the
    reference, stiffness in N/m and damping in Ns/m.
    """
    with simulation_of(reference) as simulation:
        tracking = Tracking(reference, simulation, spring)
        count, bound = len(reference), np.array([float(force)])
        bodies = tracking.start(np.zeros(1, int), bound)
        qpos, fallen, forces = [bodies.qpos[0]], [False], [0.0]
        for frame in range(1, count):
            action = act(tracking.observe(bodies)) if act else np.zeros((1, tracking.actions), np.float32)
            bodies, outcome = tracking.advance(bodies, action)
            if outcome.fallen[0]:
                bodies = tracking.start(np.array([frame]), bound)
            qpos.append(bodies.qpos[0])
            fallen.append(bool(outcome.fallen[0]))
            forces.append(float(outcome.force[0]))
    return Followed(np.array(qpos), np.array(fallen), np.array(forces))


def carried(followed: Followed, body: Follower) -> np.ndarray:
    """The clip's joints (T, J, 3), y up, its floor at 0, on the body that followed it.

    Each is fixed to the segment against which it moves least in the clip, at its median place, so that bones are
    constant; no names are asked.
    """
    kinematics = BodyKinematics(body.reference.body)
    before, after = (kinematics(qpos) for qpos in (body.reference.qpos, followed.qpos))
    local = np.einsum("tsba,tjsb->tjsa", before.rotations, body.joints[:, :, None] - before.origins[:, None])
    places = np.median(local, axis=0)
    segment = np.abs(local - places).mean((0, 3)).argmin(-1)
    place = places[np.arange(len(segment)), segment]
    points = after.origins[:, segment] + (after.rotations[:, segment] @ place[:, :, None])[..., 0]
    return from_body_axes(points - [0, 0, body.rise])


def imitation(followed: Followed, body: Follower) -> Imitation:
    """Joints and numbers of what a body did.

    Numbers: falls; frames that it stood on average; mean force on the root in body weights; mean distance of the joints
    from those of the clip, in mm. Arrays: `qpos`, `fallen`, `force`, a row for each frame.
    """
    points, frames = carried(followed, body), len(followed.qpos)
    falls, weight = int(followed.fallen.sum()), body.reference.body.mass * GRAVITY
    numbers = {
        "falls": float(falls),
        "frames_without_a_fall": frames / (falls + 1),
        "force_body_weights": float(followed.force[1:].mean()) / weight,
        "distance_from_clip_mm": 1000 * float(np.linalg.norm(points - body.clip.points, axis=-1).mean()),
    }
    return Imitation(points, numbers, followed._asdict())
