"""The 16 joints of the motion loop, their bones, and bodies of other lengths (PoseTriplet, Gong et al., CVPR 2022).

World space has z up. A bone vector is parent minus child; bones are in the order of their children, joints 1 to 15.
"""

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.data.skeletons import LEG, Skeleton, pairs_by_name, plain_name

JOINTS = (
    "hips", "right hip", "right knee", "right ankle", "left hip", "left knee", "left ankle", "spine", "neck", "head",
    "left shoulder", "left elbow", "left wrist", "right shoulder", "right elbow", "right wrist",
)  # fmt: skip
PARENTS = (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 8, 10, 11, 8, 13, 14)
MOTION16 = Skeleton("motion16", JOINTS, PARENTS, pairs_by_name(JOINTS))
ANKLES = (3, 6)  # right, left
HEIGHT_OF_CONTACT, SPEED_OF_CONTACT = 0.05, 0.01  # meters above the lowest ankle of the clip; meters a frame

BODY = (0.135458, 0.451702, 0.446957) * 2 + (0.241493, 0.255515, 0.184411) + (0.150507, 0.281991, 0.249948) * 2
"""Bone lengths in meters of the body that the imitator simulates, the mean of five people."""
TEMPLATES = np.array([
    [132, 442, 454, 132, 442, 454, 233, 257, 181, 151, 278, 251, 151, 278, 251],
    [119, 428, 442, 119, 428, 442, 224, 254, 166, 143, 264, 248, 143, 264, 248],
    [142, 486, 461, 142, 486, 461, 262, 260, 192, 149, 301, 257, 149, 301, 257],
    [135, 448, 438, 135, 448, 438, 226, 255, 168, 139, 275, 247, 139, 275, 247],
    [146, 452, 438, 146, 452, 438, 261, 251, 212, 169, 289, 244, 169, 289, 244],
    [110, 466, 442, 123, 470, 464, 260, 239, 203, 187, 299, 249, 210, 297, 247],
    [118, 447, 458, 144, 454, 473, 247, 255, 200, 170, 295, 240, 168, 280, 250],
    [124, 453, 459, 114, 486, 465, 264, 252, 205, 203, 292, 245, 188, 285, 257],
    [133, 459, 441, 139, 454, 460, 256, 246, 199, 137, 270, 253, 168, 300, 248],
    [138, 481, 473, 141, 470, 459, 261, 258, 203, 162, 299, 240, 191, 299, 250],
    [119, 459, 458, 133, 464, 468, 248, 256, 206, 164, 289, 246, 146, 301, 250],
    [123, 469, 463, 138, 481, 478, 256, 248, 195, 185, 295, 258, 175, 291, 246],
    [139, 464, 463, 153, 469, 464, 261, 251, 196, 164, 275, 244, 163, 294, 244],
    [131, 468, 467, 118, 467, 461, 251, 252, 202, 201, 301, 253, 178, 310, 253],
    [148, 471, 450, 132, 468, 466, 244, 253, 207, 169, 265, 250, 166, 304, 248],
]) / 1000  # fmt: skip
"""Bone lengths (15, 15) in meters of other bodies; the last ten differ between left and right."""


def bone_vectors(points: np.ndarray) -> np.ndarray:
    """Bones (..., 15, 3), parent minus child, of joints (..., 16, 3)."""
    return points[..., list(PARENTS[1:]), :] - points[..., 1:, :]


def bone_lengths(points: np.ndarray) -> np.ndarray:
    """Lengths (..., 15) of the bones of joints (..., 16, 3)."""
    return np.linalg.norm(bone_vectors(points), axis=-1)


def joints_from_bones(bones: np.ndarray) -> np.ndarray:
    """Joints (..., 16, 3) from bones (..., 15, 3), with the hips at the origin."""
    points = np.zeros((*bones.shape[:-2], len(PARENTS), 3), bones.dtype)
    for joint, parent in list(enumerate(PARENTS))[1:]:
        points[..., joint, :] = points[..., parent, :] - bones[..., joint - 1, :]
    return points


def with_lengths(points: np.ndarray, lengths: np.ndarray | tuple[float, ...] = BODY) -> np.ndarray:
    """The motion (T, 16, 3) of a body with bone lengths (15,), in the same directions.

    The path of the hips is scaled by the ratio of the right legs, the old one measured in the first frame (as
    released; the left leg does not count). Raises PplkitError for a bone without length.
    """
    bones = bone_vectors(points)
    old, new = np.linalg.norm(bones, axis=-1, keepdims=True), np.asarray(lengths, points.dtype)
    if not (old > 0).all() or not (new > 0).all():
        raise PplkitError("a bone has no length: leave out the frames where two joints are the same point.")
    path = points[:, :1] * (new[1:3].sum() / old[0, 1:3].sum())
    return joints_from_bones(bones / old * new[:, None]) + path


def bone_cosines(points: np.ndarray) -> np.ndarray:
    """Cosines (..., 15, 15) of the angles between the bones of joints (..., 16, 3) (KCS, Wandt & Rosenhahn 2019)."""
    bones = bone_vectors(points)
    bones = bones / np.linalg.norm(bones, axis=-1, keepdims=True)
    return bones @ np.swapaxes(bones, -1, -2)


def ankle_contacts(points: np.ndarray) -> np.ndarray:
    """Whether right ankle, left ankle and hips (T, 3) stand still near the ground, 0 or 1; z up.

    Near is up to 5 cm above the lowest ankle of the clip; still is less than 1 cm a frame between the frames before and
    after, and at both ends. The stored numbers leave a range for both limits, and do not say which joint the third
    column is, as it never touches.
    """
    joints = points[:, [*ANKLES, 0]]
    speed = np.zeros(joints.shape[:2])
    speed[1:-1] = np.linalg.norm(joints[2:] - joints[:-2], axis=-1) / 2
    low = joints[..., 2] < points[:, ANKLES, 2].min() + HEIGHT_OF_CONTACT
    return (low & (speed < SPEED_OF_CONTACT)).astype(float)


def from_coco17(points: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """The 16 joints (T, 16, 2) from points (T, J, 2) of coco17 or another layout with its names.

    Hips and neck are the middles of hip and shoulder joints, the spine is their middle; the head is 0.1 nose + 0.6
    (neck plus half of the way from hips to neck) + 0.1 eyes + 0.2 ears. Raises PplkitError for a missing joint.
    """
    names = [plain_name(name) for name in skeleton.joints]
    try:
        given = {name: points[:, names.index(name)] for name in (*JOINTS[1:4], *JOINTS[4:7], *JOINTS[10:])}
        nose = points[:, names.index("nose")]
        eyes, ears = (
            (points[:, names.index(f"left {part}")] + points[:, names.index(f"right {part}")]) / 2
            for part in ("eye", "ear")
        )
    except ValueError as error:
        raise PplkitError(f"layout {skeleton.name} lacks a joint of the motion loop ({error}): use coco17.") from None
    hips, neck = ((given[f"left {part}"] + given[f"right {part}"]) / 2 for part in (LEG[0], "shoulder"))
    head = 0.1 * nose + 0.6 * (neck + (neck - hips) / 2) + 0.1 * eyes + 0.2 * ears
    made = {"hips": hips, "spine": (hips + neck) / 2, "neck": neck, "head": head}
    return np.stack([(given | made)[name] for name in JOINTS], axis=1)
