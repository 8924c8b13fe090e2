"""Bodies in three dimensions on the puppets' own skeletons: surfaces that follow any pose of their bones exactly.

Bone lengths, girths and keypoints are those of `data_prep.synthetic.bodies`, so that 2D keypoints, the 3D skeleton and
the mesh of a pose agree. Axes: x to the body's left, y up, z forward; lengths in the puppets' units, a grown person
being about 1.7 high. At rest, people stand with their arms half raised, and animals on straight legs.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from data_prep.synthetic.bodies import BODIES, RIM_TONE, Body, Bone
from data_prep.synthetic.implicit_surface import Capsules, capsule_distances, triangulated
from pplkit.core.errors import PplkitError
from pplkit.core.words import choice
from pplkit.data.mesh_sets import PosedMesh, posed_mesh
from pplkit.geometry.kinematics import euler_rotation, forward_kinematics
from pplkit.geometry.mesh.landmarks import Landmarks

SPLIT = {"neck": "spine", "withers": "back"}  # a joint in the middle of the trunk, which the puppets do not have
PIVOTS = {"poll": "nape", "tail_middle": "dock"}  # joints at the end of the trunk that move neck and tail alone
FLAT_PARTS = {"face", "left_eye", "right_eye"}  # painted on puppets
SMALLEST_RADIUS = 0.05  # thinner ears and tails would fall through the coarse grid
STRADDLE = 8.0  # degrees by which people's legs are further apart, so that fat thighs do not grow together
STANCE = 0.15  # of an animal's legs from the middle, at girth 1
BLEND = 0.035  # width of the seam at a joint, over which the skin follows both bones

# How far joints turn from rest, in degrees: low and high about x (negative: a limb swings forward), y and z.
# Right and far limbs mirror the left and near ones.
RANGES: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "spine": ((-15, 40), (-30, 30), (-20, 20)),
    "neck": ((-8, 8), (-8, 8), (-8, 8)),
    "chin": ((-25, 30), (-45, 45), (-20, 20)),
    "shoulder": ((-40, 40), (-85, 30), (-35, 95)),
    "elbow": ((-25, 25), (-105, 0), (0, 50)),
    "wrist": ((-25, 25), (-25, 25), (-25, 25)),
    "hip": ((-90, 30), (-25, 25), (-6, 40)),
    "knee": ((0, 105), (0, 0), (0, 0)),
    "ankle": ((-25, 25), (-10, 10), (0, 0)),
    "back": ((-15, 15), (-25, 25), (-10, 10)),
    "nape": ((-45, 45), (-40, 40), (-10, 10)),
    "poll": ((-25, 25), (-25, 25), (-15, 15)),
    "dock": ((-45, 45), (-50, 50), (0, 0)),
    "tail_middle": ((-40, 40), (-40, 40), (0, 0)),
    "front_top": ((-45, 40), (-8, 8), (-4, 14)),
    "hind_top": ((-45, 30), (-8, 8), (-4, 14)),
    "front_knee": ((-5, 75), (0, 0), (0, 0)),
    "hind_knee": ((-5, 70), (0, 0), (0, 0)),
}
# Lengths of trunk, arms, legs and head, and the girth, against the puppets'.
SHAPES: dict[str, dict[str, tuple[float, float, float, float, float]]] = {
    "humanoid": {
        "average": (1, 1, 1, 1, 1),
        "short-fat": (0.95, 0.8, 0.72, 0.95, 1.4),
        "tall-thin": (1.1, 1.15, 1.2, 0.95, 0.75),
        "child": (0.75, 0.72, 0.65, 1.1, 0.8),
    },
    "quadruped": {
        "average": (1, 1, 1, 1, 1),
        "tall-thin": (0.95, 1.3, 1.3, 1.1, 0.8),
        "low-long": (1.35, 0.62, 0.62, 0.95, 0.95),
        "heavy": (1.1, 0.9, 0.9, 0.85, 1.3),
    },
}
# Spacing and unevenness of the grid, and the angles by which it is turned, in radians.
TRIANGULATIONS = {
    "coarse": (0.075, 0.0, (0.3, 0.2, 0.1)),
    "turned": (0.068, 0.0, (0.7, 0.5, 0.9)),
    "irregular": (0.062, 0.4, (0.9, 0.35, 0.6)),
    "fine": (0.037, 0.0, (0.25, 0.65, 0.4)),
}


@dataclass(frozen=True, eq=False)
class Body3D:
    """A body at rest, with what moves it.

    Attributes:
        kind: "humanoid" or "quadruped".
        joints: names, parents first; the puppet's keypoints are among them.
        parents: for each joint its parent, -1 for the first.
        offsets: (J, 3) each joint from its parent.
        vertices: (V, 3).
        faces: (F, 3).
        weights: (V, J) how much each vertex follows each joint, adding up to 1.
        keypoints: (K,) joints that are the puppet's keypoints, in its order.
    """

    kind: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: np.ndarray
    vertices: np.ndarray
    faces: np.ndarray
    weights: np.ndarray
    keypoints: np.ndarray

    def posed(self, rotations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (..., V, 3) and joints (..., J, 3) for rotations (..., J, 3, 3) of the joints against their parents.

        Linear blend skinning; the first joint stays at the origin.
        """
        still = np.broadcast_to(np.eye(3), (len(self.joints), 3, 3))
        rest, _ = forward_kinematics(still, self.offsets, np.zeros(3), self.parents)
        places, turns = forward_kinematics(rotations, self.offsets, np.zeros(rotations.shape[:-3] + (3,)), self.parents)
        shifts = places - (turns @ rest[..., None])[..., 0]
        matrices = np.einsum("vj,...jab->...vab", self.weights, turns)
        moved = np.einsum("vj,...ja->...va", self.weights, shifts)
        return (matrices @ self.vertices[..., None])[..., 0] + moved, places


@cache
def body3d(kind: str, shape: str = "average", triangulation: str = "coarse") -> Body3D:
    """A body with its surface. Raises PplkitError for a kind, shape or triangulation that does not exist.

    Args:
        kind: "humanoid" or "quadruped".
        shape: A name of SHAPES[kind]: other proportions, the same joints.
        triangulation: A name of TRIANGULATIONS: another grid, so another number of vertices in other places.
    """
    for value, known in ((kind, SHAPES), (shape, SHAPES.get(kind, {})), (triangulation, TRIANGULATIONS)):
        if value not in known:
            raise PplkitError(f"there is no body {value!r}: {choice(value, known)}.")
    puppet, factors = BODIES[kind], SHAPES[kind][shape]
    joints, parents, offsets = _skeleton(puppet, factors)
    still = np.broadcast_to(np.eye(3), (len(joints), 3, 3))
    rest, _ = forward_kinematics(still, offsets, np.zeros(3), parents)
    capsules, owners = _capsules(puppet, joints, parents, rest, factors[4])
    spacing, uneven, angles = TRIANGULATIONS[triangulation]
    spacing *= factors[4] ** 0.6  # about as many faces for every shape
    vertices, faces = triangulated(capsules, spacing, euler_rotation(np.array(angles), (0, 1, 2)), uneven)
    weights = _skin_weights(vertices, capsules, owners, parents)
    keypoints = np.array([joints.index(name) for name in puppet.keypoints])
    return Body3D(kind, joints, parents, offsets, vertices, faces, weights, keypoints)


def body_landmarks(body: Body3D) -> Landmarks:
    """The joints of a body at rest, without those that are painted only or that lie where their parents do."""
    still = np.broadcast_to(np.eye(3), (len(body.joints), 3, 3))
    _, places = body.posed(still)
    shown = [number for number, name in enumerate(body.joints) if name not in FLAT_PARTS | set(PIVOTS.values())]
    above = list(body.parents)
    for number in shown:
        while above[number] >= 0 and above[number] not in shown:
            above[number] = body.parents[above[number]]
    bones = tuple((shown.index(above[number]), shown.index(number)) for number in shown if above[number] >= 0)
    return Landmarks(tuple(body.joints[number] for number in shown), places[shown], bones)


def body_poses(
    kind: str, shape: str = "average", triangulation: str = "coarse", count: int = 300, seed: int = 0
) -> PosedMesh:
    """A body with `count` random poses and its joints as landmarks: the data set of mesh pose that is built in.

    With the same kind and seed, every shape and triangulation takes the same poses, so that those of one body are the
    ground truth of another. Raises PplkitError as `body3d` does.
    """
    body = body3d(kind, shape, triangulation)
    poses, _ = body.posed(random_rotations(kind, count, seed))
    return posed_mesh(body.vertices, body.faces, poses, body_landmarks(body), f"the built-in {kind} {shape}")


def built_in(name: str) -> PosedMesh | None:
    """The data set called bodies3d-KIND or bodies3d-KIND-SHAPE; None for other names.

    Raises PplkitError for a kind or shape that does not exist.
    """
    prefix, _, rest = name.partition("-")
    kind, _, shape = rest.partition("-")
    return body_poses(kind or "humanoid", shape or "average") if prefix == "bodies3d" else None


def random_rotations(kind: str, count: int, seed: int = 0) -> np.ndarray:
    """Rotations (count, J, 3, 3) of all joints of a kind within their ranges; every shape of the kind takes them.

    The same seed gives the same poses, whatever their number. Raises PplkitError for an unknown kind.
    """
    body = body3d(kind)
    lows, highs = np.zeros((2, len(body.joints), 3))
    for number, joint in enumerate(body.joints):
        name = joint.removeprefix("left_").removeprefix("near_")
        other = name != (name := name.removeprefix("right_").removeprefix("far_"))
        for axis, (low, high) in enumerate(RANGES.get(name, ())):
            flip = axis > 0 and other != (joint.startswith("near_") or joint.startswith("far_"))
            lows[number, axis], highs[number, axis] = (-high, -low) if flip else (low, high)
    draws = np.stack([np.random.default_rng([seed, number]).random(lows.shape) for number in range(count)])
    angles = np.deg2rad(lows + (highs - lows) * draws)
    return euler_rotation(angles[..., ::-1], (2, 1, 0))


def _length_factor(name: str, factors: tuple[float, ...]) -> float:
    """How long a bone is against the puppet's: that of the part of the body that it belongs to."""
    trunk, arms, legs, head, girth = factors
    name = name.rsplit("_", 1)[-1] if name != "head_top" else name
    groups = (
        (("neck", "spine", "withers", "back"), trunk), (("elbow", "wrist", "hand"), arms),
        (("knee", "ankle", "toe", "paw"), legs), (("chin", "head", "head_top", "poll", "nose"), head),
        (("shoulder", "hip"), 0.4 + 0.6 * girth),
    )  # fmt: skip
    return next((factor for names, factor in groups if name in names), 1.0)


def _direction(puppet: Body, bone: Bone) -> np.ndarray:
    """The direction of a bone at rest, from its angle in the plane in which the puppet is seen.

    People are seen from the front, animals from their right side.
    """
    angle = np.deg2rad(bone.direction)
    if bone.name.endswith("toe"):
        return np.array([0.0, -0.3, 1.0]) / np.hypot(0.3, 1)
    if puppet is BODIES["quadruped"]:
        return np.array([0.0, -np.cos(angle), np.sin(angle)])
    if bone.name.endswith(("knee", "ankle")):
        angle += np.sign(angle) * np.deg2rad(STRADDLE)
    return np.array([np.sin(angle), -np.cos(angle), 0.0])


def _skeleton(puppet: Body, factors: tuple[float, ...]) -> tuple[tuple[str, ...], tuple[int, ...], np.ndarray]:
    """Names, parents and offsets of the joints: the puppet's points, and those of SPLIT and PIVOTS."""
    names, parents, offsets = [puppet.root], [-1], [np.zeros(3)]

    def add(name: str, parent: str, offset: np.ndarray) -> None:
        names.append(name)
        parents.append(names.index(parent))
        offsets.append(offset)

    for bone in puppet.bones:
        offset = bone.length * _length_factor(bone.name, factors) * _direction(puppet, bone)
        if bone.name.endswith(("front_top", "hind_top")):  # puppets show the near side, the right one
            side = -1 if bone.name.startswith("near") else 1
            offset = np.array([side * STANCE * (0.4 + 0.6 * factors[4]), -bone.length, 0.0])
        if bone.name in SPLIT:
            add(SPLIT[bone.name], bone.parent, offset / 2)
            add(bone.name, SPLIT[bone.name], offset / 2)
        elif bone.name in PIVOTS:
            add(PIVOTS[bone.name], bone.parent, np.zeros(3))
            add(bone.name, PIVOTS[bone.name], offset)
        else:
            add(bone.name, bone.parent, offset)
    return tuple(names), tuple(parents), np.stack(offsets)


def _capsules(
    puppet: Body, joints: tuple[str, ...], parents: tuple[int, ...], rest: np.ndarray, girth: float
) -> tuple[Capsules, np.ndarray]:
    """The puppet's parts around the bones, and the joint (C,) that moves each; the trunk is cut at its middle."""
    ends, radii, owners = [], [], []
    trunk = {parent: middle for middle in SPLIT.values() for parent in (puppet.root,) if middle in joints}
    for part in puppet.parts:
        if part.tone == RIM_TONE or part.start == part.end or part.end in FLAT_PARTS:
            continue
        a, b, (first, last) = joints.index(part.start), joints.index(part.end), part.radii
        if {part.start, part.end} == {puppet.root, next(name for name in SPLIT if name in joints)}:
            if part.end == puppet.root:
                a, b, first, last = b, a, last, first
            middle, half = joints.index(trunk[puppet.root]), (first + last) / 2
            ends += [(a, middle), (middle, b)]
            radii += [(first, half), (half, last)]
            owners += [a, middle]
            continue
        ends.append((a, b))
        radii.append((first, last))
        above = parents[b]
        pivot = above != a and parents[above] == a and joints[above] in PIVOTS.values()
        owners.append(above if pivot or above == a else parents[a])
    start, end = rest[np.array(ends)].transpose(1, 0, 2)
    return Capsules(start, end, np.maximum(girth * np.array(radii), SMALLEST_RADIUS)), np.array(owners)


def _skin_weights(vertices: np.ndarray, capsules: Capsules, owners: np.ndarray, parents: tuple[int, ...]) -> np.ndarray:
    """Weights (V, J): the nearest bone's joint, mixed with its parent and children towards them."""
    distances = capsule_distances(vertices, capsules)
    nearest = owners[distances.argmin(1)]
    joints = np.full((len(vertices), len(parents)), np.inf)
    for capsule, owner in enumerate(owners):
        joints[:, owner] = np.minimum(joints[:, owner], distances[:, capsule])
    up = np.array(parents)
    moving = set(owners.tolist())
    for joint in range(len(up)):  # the next joint above that moves a part
        while up[joint] > 0 and up[joint] not in moving:
            up[joint] = up[up[joint]]
    every = np.arange(len(parents))
    related = (every[None] == every[:, None]) | (up[:, None] == every[None]) | (up[None] == every[:, None])
    scores = np.where(related[nearest], -joints / BLEND, -np.inf)
    weights = np.exp(2 * (scores - scores.max(1, keepdims=True)))
    return weights / weights.sum(1, keepdims=True)
