"""Joint angles of the 16 joints by rules about axes, as PoseTriplet hands motion to its simulated body; 21 joints.

Each bone's rotation has the bone as one axis and another bone as the hint for a second. Any other motion program reads
the published angles wrongly (see `figure`); for files `pplkit.data.bvh` writes what others read to the last digit.
"""

from typing import NamedTuple

import numpy as np

from pplkit.data.skeletons import Skeleton, pairs_by_name
from pplkit.geometry.kinematics import euler_angles, euler_rotation, forward_kinematics

NAMES = (
    "Hips", "RightUpLeg", "RightLeg", "RightFoot", "LeftUpLeg", "LeftLeg", "LeftFoot", "Spine", "Spine1", "Spine2",
    "Spine3", "Neck", "Head", "LeftShoulder", "LeftArm", "LeftForeArm", "LeftHand", "RightShoulder", "RightArm",
    "RightForeArm", "RightHand",
)  # fmt: skip
PARENTS = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 10, 11, 10, 13, 14, 15, 10, 17, 18, 19)
FIGURE21 = Skeleton("figure21", NAMES, PARENTS, pairs_by_name(NAMES))
XYZ = (0, 1, 2)  # the order of the angles, the first leftmost
NECK_TWIST = 2.0  # radians; released code means to write zero
STRAIGHT = 1e-6  # sine below which a hint is along the bone
# Rest directions of the bones from the parent, in the frame of the parent.
DIRECTIONS = np.zeros((21, 3))
DIRECTIONS[[2, 3, 5, 6], 2] = -1
DIRECTIONS[7:13, 2] = 1
DIRECTIONS[[4, *range(13, 17)], 0] = 1
DIRECTIONS[[1, *range(17, 21)], 0] = -1


class Figure(NamedTuple):
    """A motion by angles, in centimeters and degrees, z up."""

    offsets: np.ndarray  # (21, 3) each joint from its parent
    channels: np.ndarray  # (T, 66): root x, y, z, then the angles x, y, z of each joint

    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Positions (T, 21, 3) and local rotations (T, 21, 3, 3) as any program reads them."""
        local = euler_rotation(np.radians(self.channels[:, 3:].reshape(-1, 21, 3)), XYZ)
        return forward_kinematics(local, self.offsets, self.channels[:, :3], PARENTS)[0], local


def joints21(points: np.ndarray) -> np.ndarray:
    """The 21 joints (T, 21, 3) in centimeters of the 16 joints (T, 16, 3) in meters."""
    hips, spine, neck, left, right = (points[:, joint] for joint in (0, 7, 8, 10, 13))
    spines = [hips + (spine - hips) / 3, hips + (spine - hips) * 2 / 3, spine, (spine + neck) / 2, neck]
    arms = [(5 * neck + left) / 6, *points[:, 10:13].swapaxes(0, 1), (5 * neck + right) / 6]
    return 100 * np.stack(
        [*points[:, :7].swapaxes(0, 1), *spines, points[:, 9], *arms, *points[:, 13:].swapaxes(0, 1)], 1
    )


def figure(points: np.ndarray, published: bool = False) -> Figure:
    """Angles and bones of a motion (T, 16, 3) in meters, z up.

    Args:
        points: The 16 joints.
        published: As released, with its faults: the neck is turned by 2 rad about itself; all bones lie along an axis
            of their parent at rest, the shoulders sideways of the spine, so that what is read back misses the arms by
            decimeters; the turn of the shoulders about their bones is dropped. Otherwise the offsets are means over
            the clip in the frame of the parent, and no angle is replaced.
    """
    joints = joints21(points.astype(np.float64))
    world = _world_rotations(joints, published)
    local = world.copy()
    local[:, 1:] = np.swapaxes(world[:, list(PARENTS[1:])], -1, -2) @ world[:, 1:]
    angles = euler_angles(local, XYZ)
    if published:
        angles[:, NAMES.index("Neck"), 2] = NECK_TWIST
        offsets = _published_offsets(joints)
    else:
        bones = joints[:, 1:] - joints[:, list(PARENTS[1:])]
        above = np.swapaxes(world[:, list(PARENTS[1:])], -1, -2)
        offsets = np.concatenate([np.zeros((1, 3)), (above @ bones[..., None])[..., 0].mean(0)])
    channels = np.concatenate([joints[:, 0], np.degrees(np.unwrap(angles, axis=0)).reshape(len(joints), -1)], 1)
    return Figure(offsets, channels)


def _published_offsets(joints: np.ndarray) -> np.ndarray:
    """Bones (21, 3) along the rest directions, their lengths means over the clip and both sides."""
    lengths = np.zeros(21)
    lengths[1:] = np.linalg.norm(joints[:, 1:] - joints[:, list(PARENTS[1:])], axis=-1).mean(0)
    for left, right in FIGURE21.flip_pairs:
        lengths[[left, right]] = (lengths[left] + lengths[right]) / 2
    return DIRECTIONS * lengths[:, None]


def _world_rotations(joints: np.ndarray, published: bool) -> np.ndarray:
    """World rotations (T, 21, 3, 3), whose columns are the axes of the joints."""
    at = dict(zip(NAMES, joints.swapaxes(0, 1), strict=True))
    world: dict[str, np.ndarray] = {}
    hips, arms = at["LeftUpLeg"] - at["RightUpLeg"], at["LeftArm"] - at["RightArm"]
    for name in ("Hips", "Spine", "Spine1"):
        world[name] = _frame(2, at["Spine2"] - at["Hips"], hips)
    world["Spine2"] = _frame(2, at["Spine2"] - at["Hips"], arms)
    world["Spine3"] = _frame(2, at["Neck"] - at["Spine2"], arms)
    world["Neck"] = world["Head"] = _frame(2, at["Head"] - at["Spine3"], arms)
    if published:  # where the head is turned with the neck
        twist = euler_angles(np.swapaxes(world["Spine3"], -1, -2) @ world["Neck"], XYZ)
        twist[:, 2] = NECK_TWIST
        world["Neck"] = world["Head"] = world["Spine3"] @ euler_rotation(twist, XYZ)
    for side, sign in (("Left", 1), ("Right", -1)):
        hip, knee, ankle = (at[side + part] for part in ("UpLeg", "Leg", "Foot"))
        outwards = sign * (hip - at["Hips"])
        world[f"{side}UpLeg"] = _frame(2, hip - knee, outwards)
        world[f"{side}Leg"] = world[f"{side}Foot"] = _frame(2, knee - ankle, outwards)
        shoulder, elbow, wrist = (at[side + part] for part in ("Arm", "ForeArm", "Hand"))
        world[f"{side}Shoulder"] = _shoulder(
            world["Spine3"], sign * (shoulder - at["Neck"]), shoulder - elbow, published
        )
        above = world[f"{side}Shoulder"]
        world[f"{side}Arm"] = _frame(0, sign * (elbow - shoulder), elbow - wrist, above)
        above = world[f"{side}Arm"]
        world[f"{side}ForeArm"] = world[f"{side}Hand"] = _frame(0, sign * (wrist - elbow), elbow - shoulder, above)
    return np.stack([world[name] for name in NAMES], axis=1)


def _shoulder(above: np.ndarray, bone: np.ndarray, hint: np.ndarray, published: bool) -> np.ndarray:
    rotation = _frame(0, bone, hint, above)
    if published:
        angles = euler_angles(np.swapaxes(above, -1, -2) @ rotation, XYZ)
        angles[:, 0] = 0
        rotation = above @ euler_rotation(angles, XYZ)
    return rotation


def _frame(axis: int, bone: np.ndarray, hint: np.ndarray, above: np.ndarray | None = None) -> np.ndarray:
    """Rotations (T, 3, 3) with one axis along the bone (T, 3).

    Where the axis is z, x is the hint made perpendicular; where it is x, y is. A hint along the bone, as that of a
    straight elbow, leaves the turn about the bone open: then y of the parent `above` is the hint.
    """
    main = _unit(bone)
    if axis == 2:
        y = _unit(np.cross(main, hint))
        return np.stack([np.cross(y, main), y, main], -1)
    normal = np.cross(main, hint)
    if above is not None:
        straight = np.linalg.norm(normal, axis=-1) < STRAIGHT * np.linalg.norm(hint, axis=-1)
        normal = np.where(straight[:, None], np.cross(main, above[..., 1]), normal)
    z = _unit(normal)
    return np.stack([main, np.cross(z, main), z], -1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
