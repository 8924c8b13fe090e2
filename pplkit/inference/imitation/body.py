"""A body of rigid parts: joints from the path of the root and the rotation of each part, differentiable."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pplkit.data.skeletons import LAYOUTS, Skeleton, standing_pose
from pplkit.geometry.kinematics import fit_rotation, shortest_rotation
from pplkit.geometry.plausibility import bone_lengths

ALIKE = 0.2  # share of its length by which a bone of the other side may differ
SMALL_ANGLE = 1e-8  # square radians, added before a root is taken


@dataclass(frozen=True, eq=False)
class Body:
    """Which joint hangs on which part. Each joint that has children is a part, which turns as a whole.

    Attributes:
        skeleton: the joints.
        parts: the joints that have children, each after the part that it hangs on.
        part_of: (J,) for each joint the part, a position in `parts`, that carries it; of the root, the first.
        above: (J, J) 1 where the second joint is the first or lies between it and the root, the root left out.
        offsets: (J, 3) meters, each joint in the axes of its part; of the root, 0.
        symmetric: (J,) whether a joint is the mirror image, in x, of that of the other side: in known layouts, those
            whose bones differ by less than 20 %.
    """

    skeleton: Skeleton
    parts: list[int]
    part_of: np.ndarray
    above: np.ndarray
    offsets: np.ndarray
    symmetric: np.ndarray


def body_of(points: np.ndarray, skeleton: Skeleton) -> Body:
    """The body whose bones have their median lengths in joints (T, J, 3).

    Its axes are those of a person who stands and faces z, y up, in known layouts; in others, those of the first frame.
    """
    parts = [joint for joint in skeleton.order if joint in skeleton.parents]
    parents = np.array(skeleton.parents)
    above = np.zeros((len(parents), len(parents)))
    for joint in skeleton.order[1:]:
        above[joint] = above[parents[joint]]
        above[joint, joint] = 1
    pose = np.asarray(points[0], float)
    if skeleton.name in LAYOUTS:
        pose = np.concatenate([standing_pose(skeleton) * [1, -1], np.zeros((len(parents), 1))], 1)
    bones = skeleton.bones
    lengths = np.median(bone_lengths(points, bones), axis=0)
    offsets = np.zeros((len(parents), 3))
    for (parent, joint), length in zip(bones, lengths, strict=True):
        bone = pose[joint] - pose[parent]
        size = float(np.linalg.norm(bone))
        offsets[joint] = bone / size * length if size > 1e-6 else [0, -length, 0]
    part_of = np.array([0 if parent < 0 else parts.index(parent) for parent in parents])
    length = np.linalg.norm(offsets, axis=1)
    near = np.abs(length - length[skeleton.mirror]) <= ALIKE * length
    symmetric = near & near[skeleton.mirror] & (skeleton.name in LAYOUTS)
    return Body(skeleton, parts, part_of, above, offsets, symmetric)


def part_rotations(body: Body, points: np.ndarray) -> np.ndarray:
    """World rotations (T, P, 3, 3) of the parts that bring the body nearest to joints (T, J, 3), part by part.

    What joints do not tell, how a part with one child is turned about it, changes least from the part that carries it.
    """
    rotations = np.empty((len(points), len(body.parts), 3, 3))
    for number, joint in enumerate(body.parts):
        children = [child for parent, child in body.skeleton.bones if parent == joint]
        bones = points[:, children] - points[:, joint, None]
        if len(children) > 1:
            rotations[:, number] = fit_rotation(body.offsets[children], bones)
            continue
        carrier = rotations[:, body.part_of[joint]] if number else np.broadcast_to(np.eye(3), (len(points), 3, 3))
        rest = carrier @ body.offsets[children[0]]
        rotations[:, number] = shortest_rotation(rest, bones[:, 0]) @ carrier
    return rotations


def local_rotations(body: Body, world: np.ndarray) -> np.ndarray:
    """Rotations (T, P, 3, 3) of the parts against the parts that carry them, from those in the world."""
    local = world.copy()
    for number, joint in list(enumerate(body.parts))[1:]:
        local[:, number] = np.swapaxes(world[:, body.part_of[joint]], -1, -2) @ world[:, number]
    return local


def turned(rotations: Tensor, vectors: Tensor) -> Tensor:
    """Rotations (..., 3, 3) turned further by rotation vectors (..., 3) in radians, in the axes of the world."""
    angle = (vectors.square().sum(-1, keepdim=True) + SMALL_ANGLE).sqrt()[..., None]
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    turn = torch.sin(angle) / angle * skew + (1 - torch.cos(angle)) / angle.square() * (skew @ skew)
    return rotations + turn @ rotations


class Joints:
    """Joint positions of a body as a differentiable function."""

    def __init__(self, body: Body, dtype: torch.dtype = torch.float64) -> None:
        self.above = torch.as_tensor(body.above, dtype=dtype)
        self.part_of = torch.as_tensor(body.part_of)

    def __call__(self, root: Tensor, rotations: Tensor, offsets: Tensor) -> Tensor:
        """Positions (T, J, 3) from the root (T, 3), world rotations (T, P, 3, 3) and offsets (J, 3)."""
        bones = (rotations[:, self.part_of] @ offsets[..., None])[..., 0]
        return root[:, None] + self.above @ bones
