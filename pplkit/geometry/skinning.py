"""A skeleton that moves a surface: how its bones turn between two poses, and how surfaces follow them."""

from collections.abc import Sequence

import numpy as np

from pplkit.geometry.kinematics import shortest_rotation

SEAM = 0.035  # of the skeleton's size: how much nearer a bone must be to move a point nearly alone


def bone_rotations(rest: np.ndarray, posed: np.ndarray, parents: Sequence[int]) -> np.ndarray:
    """World rotations (T, J, 3, 3) of joints from their places at rest (J, 3) and in poses (T, J, 3).

    A joint that carries several bones turns so that their directions agree best in the sense of least squares (Kabsch
    1976). One that carries a single bone first turns as its parent does and then, by the smallest angle, to the bone's
    direction: places of joints say nothing of how a limb is twisted. One that carries none turns as its parent does.

    Args:
        rest: (J, 3).
        posed: (T, J, 3), of any bone lengths.
        parents: for each joint its parent, which comes before it; -1 for the root, which is first.
    """
    turns = np.broadcast_to(np.eye(3), (len(posed), len(rest), 3, 3)).copy()
    for joint, parent in enumerate(parents):
        children = [child for child, above in enumerate(parents) if above == joint]
        before = rest[children] - rest[joint]
        after = posed[:, children] - posed[:, joint, None]
        if parent >= 0:
            turns[:, joint] = turns[:, parent]
        if len(children) == 1:
            turned = before[0] @ np.swapaxes(turns[:, joint], -1, -2)
            turns[:, joint] = shortest_rotation(turned, after[:, 0]) @ turns[:, joint]
        elif children:
            after = after / np.maximum(np.linalg.norm(after, axis=-1, keepdims=True), 1e-9)
            left, _, right = np.linalg.svd(np.einsum("tci,cj->tij", after, before))
            flip = np.ones((len(posed), 3))
            flip[:, 2] = np.sign(np.linalg.det(left @ right))
            turns[:, joint] = left @ (flip[..., None] * right)
    return turns


def bone_weights(points: np.ndarray, rest: np.ndarray, parents: Sequence[int]) -> np.ndarray:
    """How much points (N, 3) at rest follow each joint, (N, J), adding up to 1: by the distance from its bones.

    A bone belongs to the joint that carries it; joints that carry none move nothing. Weights pass from one bone to the
    next within SEAM of the size of the skeleton (J, 3).
    """
    size = float(np.ptp(rest, axis=0).max())
    nearest = np.full((len(points), len(rest)), np.inf)
    for joint, parent in enumerate(parents):
        if parent < 0:
            continue
        bone = rest[joint] - rest[parent]
        share = np.clip((points - rest[parent]) @ bone / max(float(bone @ bone), 1e-12), 0, 1)
        distance = np.linalg.norm(points - rest[parent] - share[:, None] * bone, axis=1)
        nearest[:, parent] = np.minimum(nearest[:, parent], distance)
    weights = np.exp(-(nearest - nearest.min(1, keepdims=True)) / (SEAM / 2 * size))
    return np.asarray(weights / weights.sum(1, keepdims=True))


def carried(rest: np.ndarray, turns: np.ndarray, root: np.ndarray, parents: Sequence[int]) -> np.ndarray:
    """Joints (T, J, 3) of a skeleton at rest (J, 3) whose bones turn by world rotations (T, J, 3, 3).

    `root` are the places (T, 3) of its first joint.
    """
    places = np.empty((*turns.shape[:2], 3))
    places[:, 0] = root
    for joint, parent in list(enumerate(parents))[1:]:
        places[:, joint] = places[:, parent] + (turns[:, parent] @ (rest[joint] - rest[parent])[..., None])[..., 0]
    return places


def skinned(
    points: np.ndarray, weights: np.ndarray, rest: np.ndarray, turns: np.ndarray, places: np.ndarray
) -> np.ndarray:
    """Points (T, N, 3) that follow joints by weights (N, J): linear blend skinning.

    Args:
        points: (N, 3) at rest.
        weights: (N, J), adding up to 1.
        rest: (J, 3) joints at rest.
        turns: (T, J, 3, 3) their world rotations.
        places: (T, J, 3) of the joints.
    """
    shifts = places - (turns @ rest[..., None])[..., 0]
    matrices = np.einsum("nj,tjab->tnab", weights, turns)
    return (matrices @ points[..., None])[..., 0] + np.einsum("nj,tja->tna", weights, shifts)
