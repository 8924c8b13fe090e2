"""The five published settings of the imitator's reward, and the older one that they came from.

A reward is Σ w exp(-k d²) / Σ w over terms with distances d. Each function gives the reward and its terms by name.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from pplkit.models.motion.imitator.humanoid import BODIES, Features, difference, half_angles, part

EXTREMITIES = (3, 6, 12, 15)  # ankles and wrists among the 16 joints
RIGHT_ANKLE, LEFT_ANKLE = 3, 6
HEAD = 4  # among the ends
FARTHEST = 1.0  # of distances of speeds in m/s, beyond which nothing gets worse
CLEARANCE = 0.15  # meters that the released code adds to the root's height above the lowest joint


class Term(NamedTuple):
    """One part of a reward."""

    reward: float  # from 0 to 1
    distance: float


@dataclass(frozen=True)
class RewardWeights:
    """Weights w and scales k of one round."""

    pose: float = 0.5
    velocity: float = 0.3
    end_effectors: float = 1.5
    extremity_velocity: float = 1.5
    feet_vector: float = 1.5
    root_height: float = 0.7
    root_quaternion: float = 0.7
    root_linear_velocity: float = 1.0
    root_angular_velocity: float = 1.0
    residual: float = 0.3


SCALES = {
    "pose": 1000.0, "velocity": 30.0, "end_effectors": 2.0, "extremity_velocity": 1.0, "feet_vector": 30.0,
    "root_height": 20.0, "root_quaternion": 100.0, "root_linear_velocity": 1.0, "root_angular_velocity": 0.1,
    "residual": 5.0,
}  # fmt: skip
_LATER = RewardWeights()
ROUNDS = {
    "round1": RewardWeights(0.7, 0.3, 0.5, 0.3, 0.0, 0.0, 0.7, 0.5, 0.5, 0.3),
    "round2": RewardWeights(0.7, 0.3, 0.5, 0.3, 0.0, 0.7, 0.7, 0.5, 0.7, 0.3),
    "round3": _LATER,
    "hallucinated": replace(_LATER, pose=0.7, root_linear_velocity=2.0),
}
"""Settings for imitation; those of round 3 are also the ones of all later rounds."""


def body_weights(name: str) -> np.ndarray:
    """Weights (20) of the bodies after the hips, of a round such as "round1" or "hallucinated"."""
    light = {"Neck": 1.0}
    if name == "round1":
        light |= dict.fromkeys(("Spine", "Spine1", "Spine2", "Spine3", "Neck", "Head"), 1.0)
    elif name in ("round0", "round2"):
        light |= {"Head": 1.0}
    else:
        light |= {"Arm": 1.0, "Head": 1.0}
    nothing = ("Hand", "Foot")
    return np.array([0.0 if part(body) in nothing else light.get(part(body), 5.0) for body in BODIES[1:]])


def imitation_reward(
    simulated: Features, reference: Features, frame: int, residual: np.ndarray, name: str = "round3"
) -> tuple[float, dict[str, Term]]:
    """The reward of one frame (quat_v7 of the released code).

    Args:
        simulated: Of the body in the simulation.
        reference: Of the motion to imitate, with the same frames.
        frame: Their number.
        residual: (6) the actions for the residual wrench.
        name: A key of `ROUNDS`.

    The speeds of the extremities are those of ankles and wrists in the heading frame. The released code's distance of
    them is 7 and 12 % smaller on two stored frames, which do not show why; all other terms are equal to its own.

    Faults of the released code that are kept: the root's speed of the body is seen from the heading of the frame
    before, that of the reference from the same frame's; elbows turn about x (`local_rotations`).
    """
    share = body_weights(name)
    share = share / share.sum()
    now, goal = ({key: value[frame] for key, value in side._asdict().items()} for side in (simulated, reference))
    turns = half_angles(difference(now["rotations"][1:], goal["rotations"][1:]))
    turning = (now["turning"] - goal["turning"])[1:]
    speeds = (now["joint_speeds"] - goal["joint_speeds"])[list(EXTREMITIES)]
    feet = [side["joints"][RIGHT_ANKLE] - side["joints"][LEFT_ANKLE] for side in (now, goal)]
    height = goal["joints_world"][0, 2] - goal["joints_world"][:, 2].min() + CLEARANCE
    distances = {
        "pose": np.linalg.norm(np.minimum(turns, np.pi - turns) * share),
        "velocity": np.linalg.norm(turning * share[:, None] / 3),
        "end_effectors": np.linalg.norm(now["ends"] - goal["ends"]),
        "extremity_velocity": min(float(np.linalg.norm(speeds)), FARTHEST),
        "feet_vector": np.linalg.norm(feet[0] - feet[1]),
        "root_height": now["states"][2] - height,
        "root_quaternion": half_angles(np.abs(difference(now["tilt"], goal["tilt"]))),
        "root_linear_velocity": min(float(np.linalg.norm(now["root_speed_before"] - goal["root_speed"])), FARTHEST),
        "root_angular_velocity": np.linalg.norm(now["speeds"][3:6] - goal["speeds"][3:6]),
        "residual": np.linalg.norm(residual),
    }
    terms = {key: Term(float(np.exp(-SCALES[key] * d * d)), float(d)) for key, d in distances.items()}
    return weighted({key: term.reward for key, term in terms.items()}, vars(ROUNDS[name])), terms


def path_reward(simulated: Features, reference: Features, frame: int) -> tuple[float, dict[str, Term]]:
    """The reward of round 0, in which the body follows a path of the root and is free otherwise.

    The wanted height of the root is that of the path's last frame.
    """
    now, goal = ({key: value[frame] for key, value in side._asdict().items()} for side in (simulated, reference))
    head, energy = float(now["head_height"]), float(np.square(now["turning"]).mean())
    tilt = float(half_angles(np.abs(difference(now["tilt"], goal["tilt"]))))
    height = abs(float(now["states"][2] - reference.states[-1, 2]))
    speed = min(float(np.linalg.norm(now["root_speed_before"] - goal["root_speed"])), FARTHEST)
    turning = abs(float(now["speeds"][5] - goal["speeds"][5]))
    end = abs(float(now["ends_world"][HEAD, 2] - goal["ends_world"][HEAD, 2]))
    terms = {
        "root_quaternion": Term(float(np.exp(-100 * tilt**2)), tilt),
        "root_position": Term(float(np.exp(-10 * height**2)), height),
        "root_linear_velocity": Term(float(np.exp(-4 * speed**2)), speed),
        "root_angular_velocity": Term(float(np.exp(-2 * turning**2)), turning),
        "energy": Term(float(np.exp(-1 / max(energy, 1e-9))), energy),
        "head_height": Term(float(np.exp(-1 / max(head, 1e-9))), head),
        "head_end": Term(float(np.exp(-100 * end**2)), end),
    }
    weights = {
        "root_position": 0.3, "root_linear_velocity": 0.9, "root_angular_velocity": 0.3, "head_height": 0.1,
        "head_end": 0.3,
    }  # fmt: skip
    return weighted({key: term.reward for key, term in terms.items()}, weights), terms


def older_reward(
    simulated: Features, reference: Features, frame: int, residual: np.ndarray, weights: np.ndarray
) -> tuple[float, dict[str, float]]:
    """The reward that the others came from (quat_v6), with body weights (20); its terms are rewards alone.

    Scales of the root's rotation and turning are not confirmed by stored numbers, in which both are equal.
    """
    now, goal = ({key: value[frame] for key, value in side._asdict().items()} for side in (simulated, reference))
    turns = half_angles(np.abs(difference(now["rotations"][1:], goal["rotations"][1:]))) * weights
    tilt = half_angles(np.abs(difference(now["tilt"], goal["tilt"])))
    distances = {
        "pose": 2 * np.square(turns).sum(),
        "velocity": 0.005 * np.square((now["turning"] - goal["turning"])[1:]).sum(),
        "end_effectors": 20 * np.square(now["ends"] - goal["ends"]).sum(),
        "root_pose": 300 * ((now["states"][2] - goal["states"][2]) ** 2 + tilt**2),
        "root_velocity": 5 * np.square(now["root_speed_before"] - goal["root_speed"]).sum()
        + 0.5 * np.square(now["speeds"][3:6] - goal["speeds"][3:6]).sum(),
        "residual": np.square(residual).sum(),
    }
    terms = {key: float(np.exp(-distance)) for key, distance in distances.items()}
    return weighted(terms, dict(zip(terms, (0.5, 0.1, 0.2, 0.1, 0.1, 0.1), strict=True))), terms


def weighted(rewards: dict[str, float], weights: dict[str, float]) -> float:
    """The mean of rewards by name; those without a weight do not count."""
    total = sum(weights.values())
    return sum(weight * rewards[key] for key, weight in weights.items()) / total
