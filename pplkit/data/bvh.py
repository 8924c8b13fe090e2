"""BVH, the files of animation programs: read with their rotation orders, units and up axis, and written from joints.

Bones turn about the joint at their start. Euler angles of a joint are applied in the order of its CHANNELS.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.core.files import MAX_TABLE_BYTES, read_text, write_text
from pplkit.data.sequences import PoseSequence
from pplkit.data.skeletons import H36M17, LAYOUTS, LEG, SIDES, Skeleton, pairs_by_name, standing_pose, to_h36m17
from pplkit.geometry.kinematics import (
    euler_angles,
    euler_rotation,
    fit_rotation,
    forward_kinematics,
    shortest_rotation,
)

REMEDY = "export it again as BVH with HIERARCHY and MOTION"
UNITS = (1.0, 0.01, 0.0254, 0.001)  # meters, centimeters, inches, millimeters
LEG_METERS = (0.6, 1.1)  # by which a unit is recognized
USUAL_LEG = 0.83  # meters, to which legs in any other unit are scaled
WRITTEN_UNIT = 0.01  # meters
WRITTEN_ORDER = (2, 0, 1)  # Z X Y, as most programs write
AXES = "XYZ"


@dataclass
class _Tree:
    """A hierarchy under construction; `channels` are kind ("position" or "rotation") and axis, in the file's order."""

    names: list[str] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    offsets: list[list[float]] = field(default_factory=list)
    channels: list[list[tuple[str, int]]] = field(default_factory=list)

    def add(self, name: str, parent: int) -> int:
        count = sum(other == name or other.startswith(f"{name}#") for other in self.names)
        self.names.append(f"{name}#{count + 1}" if count else name)
        self.parents.append(parent)
        self.offsets.append([0.0, 0.0, 0.0])
        self.channels.append([])
        return len(self.names) - 1


def read_bvh(path: Path | str, scale: float | None = None, up: str | None = None) -> PoseSequence:
    """All joints of a BVH file, ends of last bones included ("Head end"), in meters, y up, in world space.

    Args:
        path: Of the file.
        scale: Meters for a unit of the file. By default meters, centimeters, inches or millimeters, whichever gives
            legs of 0.6 to 1.1 m, or else what makes the legs 0.83 m long.
        up: The file's axis that points up, such as "z" or "-y". By default the one from the feet to the head, on
            average. Both defaults need joints of a person that are named so.

    Raises PplkitError for a missing or damaged file, and where unit or axis cannot be recognized.
    """
    path = Path(path)
    tokens = iter(read_text(path, REMEDY, MAX_TABLE_BYTES).split())
    try:
        tree = _hierarchy(tokens)
        values = list(tokens)
        frames, interval = int(values[1]), float(values[4])
        width = sum(map(len, tree.channels))
        motion = np.array(values[5:], np.float64).reshape(frames, width)
    except (StopIteration, ValueError, IndexError) as error:
        raise PplkitError(f"{path} is not a whole BVH file ({error or 'it ends early'}); {REMEDY}.") from None
    if not frames or not interval > 0 or not np.isfinite(motion).all():
        raise PplkitError(f"{path} has no frames, no frame time, or values that are not numbers; {REMEDY}.")
    positions = _positions(tree, motion)
    skeleton = Skeleton(path.stem, tuple(tree.names), tuple(tree.parents), pairs_by_name(tree.names))
    try:
        scale = _unit(skeleton, positions) if scale is None else scale
        axis = _up_axis(skeleton, positions) if up is None else up
    except PplkitError as error:
        raise PplkitError(f"{path}: unit and up axis are unknown, as {error} Or give scale and up.") from None
    points = _y_up(positions * scale, axis)
    return PoseSequence(points=points, fps=round(1 / interval, 2), skeleton=skeleton, space="world", source=path.name)


def _hierarchy(tokens: Iterator[str]) -> _Tree:
    """The joints in the file's order. Raises ValueError for a word that has no place there."""
    tree, path, joint = _Tree(), [-1], -1
    for token in tokens:
        if token == "MOTION":
            if len(path) != 1 or not tree.names:
                raise ValueError("its braces do not match")
            return tree
        if token in ("ROOT", "JOINT"):
            if (token == "ROOT") == bool(tree.names):
                raise ValueError("it needs one ROOT")
            joint = tree.add(next(tokens), path[-1])
        elif token == "End":
            next(tokens)
            joint = tree.add(f"{tree.names[path[-1]]} end", path[-1])
        elif token == "{":
            path.append(joint)
        elif token == "}":
            path.pop()
        elif token == "OFFSET":
            tree.offsets[path[-1]] = [float(next(tokens)) for _ in range(3)]
        elif token == "CHANNELS":
            names = [next(tokens) for _ in range(int(next(tokens)))]
            tree.channels[path[-1]] = [(name[1:].lower(), AXES.index(name[0].upper())) for name in names]
        elif token != "HIERARCHY":
            raise ValueError(f"it has {token[:40]!r} in the hierarchy")
    raise ValueError("it has no MOTION")


def _positions(tree: _Tree, motion: np.ndarray) -> np.ndarray:
    """Joints (T, J, 3) in the unit and axes of the file."""
    frames, joints = len(motion), len(tree.names)
    offsets = np.tile(np.array(tree.offsets), (frames, 1, 1))
    rotations = np.tile(np.eye(3), (frames, joints, 1, 1))
    root = offsets[:, 0].copy()
    column = 0
    for joint, channels in enumerate(tree.channels):
        values = motion[:, column : column + len(channels)]
        column += len(channels)
        turns = [number for number, (kind, _) in enumerate(channels) if kind == "rotation"]
        for number, (kind, axis) in enumerate(channels):
            if kind == "position" and joint == 0:
                root[:, axis] += values[:, number]
            elif kind == "position":
                offsets[:, joint, axis] = values[:, number]
        if turns:
            rotations[:, joint] = euler_rotation(np.radians(values[:, turns]), [channels[n][1] for n in turns])
    return forward_kinematics(rotations, offsets, root, tree.parents)[0]


def _unit(skeleton: Skeleton, positions: np.ndarray) -> float:
    body = to_h36m17(positions[:1], skeleton)[0][0]
    legs = [body[[H36M17.joints.index(f"{side} {part}") for part in LEG]] for side in SIDES]
    leg = float(np.mean([np.linalg.norm(np.diff(joints, axis=0), axis=1).sum() for joints in legs]))
    if not leg > 0:
        raise PplkitError("its legs have no length.")
    return next((unit for unit in UNITS if LEG_METERS[0] <= leg * unit <= LEG_METERS[1]), USUAL_LEG / leg)


def _up_axis(skeleton: Skeleton, positions: np.ndarray) -> str:
    body, _ = to_h36m17(positions, skeleton)
    feet = [H36M17.joints.index(f"{side} ankle") for side in ("left", "right")]
    rise = (body[:, H36M17.joints.index("thorax")] - body[:, feet].mean(1)).mean(0)
    axis = int(np.abs(rise).argmax())
    return ("-" if rise[axis] < 0 else "") + AXES[axis]


def _y_up(points: np.ndarray, up: str) -> np.ndarray:
    """Points turned so that the axis `up`, such as "z" or "-y", becomes y."""
    if up.lstrip("-").upper() not in tuple(AXES):
        raise PplkitError(f'up is {up!r}; give "x", "y", "z", "-x", "-y" or "-z".')
    axis = AXES.index(up.lstrip("-").upper())
    turned = points[..., [(axis - 1) % 3, axis, (axis + 1) % 3]]
    return turned * [1, -1, -1] if up.startswith("-") else turned


def constant_bones(points: np.ndarray, skeleton: Skeleton, symmetric: bool = False) -> np.ndarray:
    """Joints (T, J, 3) moved so that each bone has its median length in all frames; directions and root stay.

    `symmetric` gives the bones of both sides the mean of their lengths.
    """
    result = np.array(points, np.float64)
    bones = points - np.asarray(points, np.float64)[:, list(skeleton.parents)]
    lengths = np.linalg.norm(bones, axis=-1)
    medians = np.median(lengths, axis=0)
    if symmetric:
        medians = (medians + medians[skeleton.mirror]) / 2
    for joint in skeleton.order[1:]:
        scale = medians[joint] / np.maximum(lengths[:, joint, None], 1e-9)
        result[:, joint] = result[:, skeleton.parents[joint]] + bones[:, joint] * scale
    return result


def write_bvh(path: Path | str, sequence: PoseSequence) -> Path:
    """Write 3D joints as BVH in centimeters, with constant bone lengths, angles in the order Z, X, Y.

    The joints that are read back are those of `constant_bones`. Where several bones start, a joint "..._base" without
    length turns each of them. How a bone is turned about itself is not known from joints: it is turned as little as
    possible. Raises PplkitError for 2D points and missing joints, and WriteError.
    """
    path = Path(path)
    skeleton = sequence.skeleton
    if sequence.points.shape[-1] != 3 or not len(sequence) or not np.isfinite(sequence.points).all():
        raise PplkitError(f"{path} cannot be written: give 3D points without missing joints.")
    points = constant_bones(sequence.points, skeleton) / WRITTEN_UNIT
    offsets = _rest_offsets(points, skeleton)
    lines, columns = ["HIERARCHY"], [points[:, skeleton.root]]
    _write_joint(skeleton.root, np.eye(3), points, offsets, skeleton, lines, columns, 0)
    rows = np.concatenate(columns, axis=1)
    lines += ["MOTION", f"Frames: {len(rows)}", f"Frame Time: {1 / sequence.fps:.8f}"]
    lines += [" ".join(f"{value:.6f}" for value in row) for row in rows]
    write_text(path, "\n".join(lines) + "\n")
    return path


def _rest_offsets(points: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Each joint from its parent (J, 3) when nothing is turned: standing, or as in the first frame."""
    pose = points[0]
    if skeleton.name in LAYOUTS:
        pose = np.concatenate([standing_pose(skeleton) * [1, -1], np.zeros((len(skeleton.joints), 1))], 1)
    offsets = np.zeros_like(points[0])
    for parent, joint in skeleton.bones:
        bone, length = pose[joint] - pose[parent], np.linalg.norm(points[0, joint] - points[0, parent])
        offsets[joint] = bone * (length / max(float(np.linalg.norm(bone)), 1e-9))
    return offsets


def _write_joint(
    joint: int, carrier: np.ndarray, points: np.ndarray, offsets: np.ndarray, skeleton: Skeleton,
    lines: list[str], columns: list[np.ndarray], depth: int,
) -> None:  # fmt: skip
    """Add a joint and all below it to the lines of the hierarchy and the columns of the motion.

    `carrier` is the world rotation (T, 3, 3) of the joint's parent.
    """
    children = [child for parent, child in skeleton.bones if parent == joint]
    directions = points[:, children] - points[:, joint, None]
    if len(children) == 1:
        rest = np.swapaxes(carrier, -1, -2) @ directions[:, 0, :, None]
        local = shortest_rotation(offsets[children[0]], rest[..., 0])
    elif children:
        local = np.swapaxes(carrier, -1, -2) @ fit_rotation(offsets[children], directions)
    else:
        local = np.tile(np.eye(3), (len(points), 1, 1))
    world = carrier @ local
    _open_joint(skeleton.joints[joint], "JOINT" if depth else "ROOT", offsets[joint], local, lines, columns, depth)
    for number, child in enumerate(children):
        if len(children) == 1:
            _write_joint(child, world, points, offsets, skeleton, lines, columns, depth + 1)
            continue
        rest = np.swapaxes(world, -1, -2) @ directions[:, number, :, None]
        turn = shortest_rotation(offsets[child], rest[..., 0])
        _open_joint(f"{skeleton.joints[child]} base", "JOINT", np.zeros(3), turn, lines, columns, depth + 1)
        _write_joint(child, world @ turn, points, offsets, skeleton, lines, columns, depth + 2)
        lines.append("\t" * (depth + 1) + "}")
    if not children:
        tab = "\t" * (depth + 1)
        lines.extend([f"{tab}End Site", f"{tab}{{", f"{tab}\tOFFSET 0 0 0", f"{tab}}}"])
    lines.append("\t" * depth + "}")


def _open_joint(
    name: str, kind: str, offset: np.ndarray, local: np.ndarray, lines: list[str], columns: list[np.ndarray], depth: int
) -> None:
    tab, (x, y, z) = "\t" * depth, offset
    places = "Xposition Yposition Zposition " if kind == "ROOT" else ""
    turns = " ".join(f"{AXES[axis]}rotation" for axis in WRITTEN_ORDER)
    count = 6 if kind == "ROOT" else 3
    lines.extend([f"{tab}{kind} {name.replace(' ', '_')}", f"{tab}{{"])
    lines.extend([f"{tab}\tOFFSET {x:.6f} {y:.6f} {z:.6f}", f"{tab}\tCHANNELS {count} {places}{turns}"])
    angles = np.unwrap(euler_angles(local, WRITTEN_ORDER), axis=0)
    columns.append(np.degrees(angles))
