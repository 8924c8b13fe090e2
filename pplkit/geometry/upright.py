"""Which way is up in front of a camera, as the motion of a person tells.

Cameras are hardly ever rolled, and look up or down by some degrees. People who stand on straight legs are vertical on
average, whichever way they turn. Each of these gives the two angles by which the camera is tilted, with a deviation;
the estimate is their mean by precision.
"""

from collections.abc import Mapping

import numpy as np

from pplkit.geometry.kinematics import shortest_rotation

CAMERA_UP = np.array([0.0, -1.0, 0.0])  # in camera space
CAMERA_TILT = np.radians([3.0, 15.0])  # deviation of a camera's roll and pitch
BODY_TILT = np.radians(4.0)  # deviation of the mean direction of a standing body
FEW_FRAMES = 10  # standing frames that are half as good as many
MOST_TILTED = np.cos(np.radians(45.0))  # of a body that may stand, against the camera's vertical
STRAIGHT_LEG = 0.96  # distance of hip and ankle, in lengths of the leg
STRAIGHT_BODY = np.cos(np.radians(25.0))  # between trunk and legs
BODY = ("pelvis", "thorax", *(f"{side} {part}" for side in ("left", "right") for part in ("hip", "knee", "ankle")))


def estimate_up(points: np.ndarray, joints: Mapping[str, int]) -> np.ndarray:
    """The unit vector (3,) that points up in camera space (x right, y down, z away).

    Args:
        points: (T, J, 3) in camera space, of a person. Where the person is does not matter.
        joints: numbers of the joints in BODY. If one is missing, the camera is taken to stand upright.
    """
    if not set(BODY) <= joints.keys():
        return CAMERA_UP
    body = {name: points[:, joints[name]].astype(float) for name in BODY}
    ankles = (body["left ankle"] + body["right ankle"]) / 2
    axis = _unit(body["thorax"] - ankles)
    standing = axis[_stands(body, ankles) & (axis @ CAMERA_UP > MOST_TILTED)]
    if not len(standing):
        return CAMERA_UP
    tilt = np.median(standing[:, [0, 2]], axis=0)  # sines of roll and pitch
    precision = 1 / (BODY_TILT**2 * (1 + FEW_FRAMES / len(standing)))
    share = precision / (precision + 1 / CAMERA_TILT**2)
    roll, pitch = share * tilt
    return _unit(np.array([roll, -np.sqrt(max(1 - roll**2 - pitch**2, 0.0)), pitch]))


def _stands(body: Mapping[str, np.ndarray], ankles: np.ndarray) -> np.ndarray:
    """Whether (T,) one leg at least is straight, and trunk and legs are in line."""
    straight = np.zeros(len(ankles), bool)
    for side in ("left", "right"):
        hip, knee, ankle = (body[f"{side} {part}"] for part in ("hip", "knee", "ankle"))
        length = np.linalg.norm(hip - knee, axis=-1) + np.linalg.norm(knee - ankle, axis=-1)
        straight |= np.linalg.norm(hip - ankle, axis=-1) > STRAIGHT_LEG * length
    trunk, legs = _unit(body["thorax"] - body["pelvis"]), _unit(body["pelvis"] - ankles)
    return straight & ((trunk * legs).sum(-1) > STRAIGHT_BODY)


def upright_rotation(up: np.ndarray) -> np.ndarray:
    """The matrix (3, 3) from camera space to axes of the world: x right, y along `up`, z towards the camera."""
    flipped = np.diag([1.0, -1.0, -1.0])
    return shortest_rotation(flipped @ up, np.array([0.0, 1.0, 0.0])) @ flipped  # type: ignore[no-any-return]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)  # type: ignore[no-any-return]
