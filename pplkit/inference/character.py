"""A character moves like somebody: joints in three dimensions given to a mesh with named joints."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pplkit.core.errors import PplkitError
from pplkit.core.files import read_json
from pplkit.data.mesh_writers import write_gltf, write_obj_series
from pplkit.data.meshes import Mesh, read_mesh
from pplkit.data.sequences import PoseSequence
from pplkit.data.skeletons import H36M17, Skeleton, plain_name, to_h36m17
from pplkit.geometry.mesh.frames import unit_of
from pplkit.geometry.mesh.landmarks import Landmarks
from pplkit.geometry.skinning import bone_rotations, bone_weights, carried, skinned

REMEDY = 'give a JSON file of its joints at rest, such as {"points": {"left hip": [x, y, z], ...}}'


@dataclass(frozen=True, eq=False)
class MovingCharacter:
    """A mesh in the poses of a motion.

    Attributes:
        mesh: at rest, as its file has it.
        poses: (T, V, 3) in the axes of the motion, y up, and in the unit of the mesh.
        fps: poses a second.
        meters: of one unit of the mesh, judged by its size.
    """

    mesh: Mesh
    poses: np.ndarray
    fps: float
    meters: float

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write an animated .glb, y up and in meters as glTF asks, or a folder of OBJ files; returns it."""
        path = Path(path)
        if path.suffix.lower() == ".glb":
            poses = self.meters * self.poses
            return write_gltf(path, poses[0], self.mesh.faces, poses, self.fps)
        write_obj_series(path, self.poses, self.mesh.faces)
        return path


def move_character(
    motion: PoseSequence, character: Path | str | Mesh, joints: Path | str | Landmarks | None = None
) -> MovingCharacter:
    """A mesh that moves as `motion` does; nothing but the places of its joints at rest has to be known.

    Its bones keep their lengths and turn as those of the motion do (`geometry.skinning.bone_rotations`). The surface
    follows the bones that are near it (linear blend skinning).

    Args:
        motion: 3D joints of one person or animal, in world space.
        character: a mesh at rest, of any axes and unit.
        joints: its joints by name; by default the JSON file of the mesh's name beside it.

    Raises PplkitError for motion in two dimensions or with gaps, and for joints that are missing.
    """
    if motion.space != "world" or not np.isfinite(motion.points).all():
        raise PplkitError("the motion is not whole in world space: make it so by `pplkit imitate` first.")
    if isinstance(character, Mesh):
        mesh = character
    else:
        mesh = read_mesh(character)
        joints = Path(character).with_suffix(".json") if joints is None else joints
    if joints is None:
        raise PplkitError(f"{mesh.source} has no joints: {REMEDY}.")
    marks = (
        joints if isinstance(joints, Landmarks) else Landmarks.from_dict(read_json(Path(joints), REMEDY), str(joints))
    )
    skeleton, rest = motion.skeleton, _rest(motion.skeleton, marks)
    order = skeleton.order
    parents = [order.index(skeleton.parents[joint]) if skeleton.parents[joint] >= 0 else -1 for joint in order]
    rest, points = rest[order], np.asarray(motion.points, np.float64)[:, order]
    turns = bone_rotations(rest, points, parents)
    places = carried(rest, turns, _scale(rest, points, parents) * points[:, 0], parents)
    weights = bone_weights(mesh.vertices, rest, parents)
    poses = skinned(mesh.vertices, weights, rest, turns, places)
    return MovingCharacter(mesh, poses, motion.fps, unit_of(mesh.height)[1])


def _rest(skeleton: Skeleton, marks: Landmarks) -> np.ndarray:
    """Where the joints (J, 3) of a skeleton lie in a character at rest. Raises PplkitError for those that it lacks."""
    if skeleton == H36M17:
        parents = (-1, *[0] * (len(marks.names) - 1))
        points, _ = to_h36m17(marks.points[None], Skeleton("of the character", marks.names, parents))
        return points[0]
    named = {plain_name(name): point for name, point in zip(marks.names, marks.points, strict=True)}
    if missing := [joint for joint in skeleton.joints if plain_name(joint) not in named]:
        raise PplkitError(f"the character has no joint called {', '.join(missing)}: {REMEDY}.")
    return np.stack([named[plain_name(joint)] for joint in skeleton.joints])


def _scale(rest: np.ndarray, points: np.ndarray, parents: list[int]) -> float:
    """How much longer the bones of joints (J, 3) are than those of joints (T, J, 3)."""
    ends = [(joint, parent) for joint, parent in enumerate(parents) if parent >= 0]
    children, above = np.array(ends).T
    ours = np.linalg.norm(rest[children] - rest[above], axis=-1).sum()
    theirs = np.linalg.norm(points[:, children] - points[:, above], axis=-1).sum(1)
    return float(ours / max(np.median(theirs), 1e-9))
