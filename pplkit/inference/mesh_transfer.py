"""Poses of one mesh given to another: files or arrays in, poses in the target's own axes, unit and vertices out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import KDTree

from pplkit.core.errors import PplkitError
from pplkit.core.files import same_file
from pplkit.core.words import choice, quantity
from pplkit.data.mesh_writers import write_gltf, write_obj, write_obj_like
from pplkit.data.meshes import Mesh
from pplkit.geometry.mesh.frames import AXES, UPWARD, signed_axis, unit_of, upward_axis, y_up
from pplkit.geometry.mesh.landmarks import shared_points
from pplkit.geometry.mesh.poisson import PoissonSolver
from pplkit.geometry.mesh.warp import landmark_warp
from pplkit.inference.mesh_contacts import contact_goals, ground_contacts
from pplkit.inference.mesh_inputs import LandmarkSource, MeshSource, TransferInputs, transfer_inputs, welded
from pplkit.inference.mesh_refinement import RefinedMethod
from pplkit.models.mesh.model import MeshModel
from pplkit.models.mesh.nearest_face import NearestFace, PoseMethod
from pplkit.training.saved_mesh import load_mesh_run

NEAREST_FACE = "nearest-face"
STIFFNESS = 10.0  # of pins: they give way a little where they would tear the surface


@dataclass(frozen=True, eq=False, repr=False)
class TransferredPoses:
    """A mesh in the poses of another.

    Attributes:
        mesh: the target at rest, as it was given.
        poses: (K, V, 3) its vertices, in the axes and unit of its file.
        notes: what was recognized of axes and units, and what is left to the user, a sentence each.
        up: the axis of the mesh that points up, such as "y" or "-z"; by default the probable one.
    """

    mesh: Mesh
    poses: np.ndarray
    notes: tuple[str, ...] = ()
    up: str = ""

    def __repr__(self) -> str:
        return f"{self.mesh!r} in {quantity(len(self.poses), 'pose')}\n  .poses {self.poses.shape}, .notes, .save(path)"

    def upright(self) -> tuple[np.ndarray, np.ndarray]:
        """The mesh at rest (V, 3) and the poses (K, V, 3) with y up and in meters, as glTF and videos have them.

        What came from a glTF file is so already.
        """
        if Path(self.mesh.source).suffix.lower() in (".glb", ".gltf"):
            return self.mesh.vertices, self.poses
        up, meters = self.up or upward_axis(self.mesh.vertices), unit_of(self.mesh.height)[1]
        return meters * y_up(self.mesh.vertices, up), meters * y_up(self.poses, up)

    def save(self, path: Path | str, names: Sequence[str] = (), fps: float = 30.0) -> list[Path]:
        """Write the poses: animated glTF for a name that ends in .glb, else a folder of OBJ files.

        glTF is y up and in meters (see `upright`), OBJ files keep axes and unit of the target. If that came from an OBJ
        file, its polygons, materials and texture coordinates are kept.

        Args:
            path: The file or folder.
            names: Of the OBJ files, without .obj; by default 00000, 00001, ...
            fps: Frames a second of glTF.

        Raises WriteError, and PplkitError where the target itself would be overwritten.
        """
        path, original = Path(path), Path(self.mesh.source)
        if path.suffix.lower() == ".glb":
            if same_file(path, original):
                raise PplkitError(f"{path} is the target itself: write to another file.")
            rest, poses = self.upright()
            return [write_gltf(path, rest, self.mesh.faces, poses, fps)]
        names = names or [f"{number:05d}" for number in range(len(self.poses))]
        files = [path / f"{name}.obj" for name in names]
        if any(same_file(file, original) for file in files):
            raise PplkitError(f"{path} holds the target itself, which would be overwritten: write to another folder.")
        path.mkdir(parents=True, exist_ok=True)
        keep = original.suffix.lower() == ".obj" and original.is_file()
        for file, pose in zip(files, self.poses, strict=True):
            _ = write_obj_like(file, original, pose) if keep else write_obj(file, pose, self.mesh.faces)
        return files


def transfer_pose(
    run: PoseMethod | Path | str,
    source_rest: MeshSource,
    source_poses: np.ndarray | MeshSource | Sequence[Path | str],
    target: MeshSource,
    landmarks: tuple[LandmarkSource, LandmarkSource] | None = None,
    *,
    turn: str = "",
    pins: Mapping[int, Any] | None = None,
    ground: str = "",
    up: str = "",
    refine: int = 0,
    stiffness: float = STIFFNESS,
) -> TransferredPoses:
    """Give a mesh the poses of another one, of any other triangulation, axes and unit.

    Both should be in about the same pose at rest. Where the target lies follows from the mean displacement of the
    source; pins and ground contacts move it further.

    Args:
        run: The run folder of a trained model of mesh pose; "nearest-face", which needs no training; or an object with
            `predict_jacobians` (see `pplkit.models.mesh.PoseMethod`).
        source_rest: The source at rest, a file (OBJ, PLY, glTF, OFF, .anime) or a `pplkit.data.meshes.Mesh`.
        source_poses: Its poses: a file, a list of files, a folder of files, or an array (K, V, 3) or (V, 3).
        target: The target at rest, a file or a mesh.
        landmarks: Of source and target, by the same names, each in the unit and axes of its mesh: JSON files or
            `pplkit.geometry.mesh.landmarks.Landmarks`. Joints are the best ones.
        turn: Which axes of the source the target's x, y and z are, such as "x,-z,y"; by default they are recognized.
        pins: Vertices of the target and where they shall be, (3,) or (K, 3), in its file's axes and unit.
        ground: The source's upward axis, "x", "y" or "z", if what stands on the ground in the source shall do so in the
            target.
        up: The target's upward axis, which glTF and videos need to know; by default it is recognized.
        refine: Steps by which a trained model is refined for the target (`inference.mesh_refinement`); it seldom pays.
        stiffness: How hard pins and ground pull, against 1 for the neighbors of a vertex.

    Raises PplkitError, naming the file, for meshes that are broken or do not go together.

    >>> posed = pplkit.transfer_pose("nearest-face", "rest.obj", ["pose.obj"], "target.obj")
    >>> posed.poses.shape, posed.mesh.source
    ((1, 84, 3), 'target.obj')
    """
    method = _method(run, refine)
    inputs = transfer_inputs(source_rest, source_poses, target, landmarks, turn)
    if ground and ground not in tuple(AXES):
        raise PplkitError(f"ground is {ground!r}: name the source's upward axis, x, y or z.")
    if up and up not in UPWARD:
        raise PplkitError(f"up is {up!r}: name the target's upward axis, {', '.join(UPWARD)}.")
    rest, faces, number = welded(inputs.target)
    notes = list(inputs.notes)
    if len(rest) < len(number):
        count = len(number) - len(rest)
        notes.append(f"{inputs.target.source}: {count:,} vertices lie where others do and move with them.")
    wanted = _pins(pins, inputs, number)
    poses, standing = _solved(method, inputs, rest, faces, wanted, ground, stiffness)
    if ground and not standing:
        notes.append(f"Nothing of {inputs.source.source} is as low as its lowest vertex at rest: nothing is held.")
    if ground and not up:
        up = signed_axis(inputs.rotation[AXES.index(ground)])
    return TransferredPoses(inputs.original, inputs.outside(poses[:, number]), tuple(notes), up)


def _solved(
    method: PoseMethod,
    inputs: TransferInputs,
    rest: np.ndarray,
    faces: np.ndarray,
    pins: Mapping[int, np.ndarray],
    ground: str,
    stiffness: float,
) -> tuple[np.ndarray, bool]:
    """Poses (K, W, 3) of the welded target in its box, and whether anything stands on the ground."""
    source, marks = inputs.source, inputs.landmarks or (None, None)
    field = method.predict_jacobians(source.vertices, source.faces, inputs.poses, rest, faces, *marks)
    solver = PoissonSolver(rest, faces)
    queries = rest if inputs.landmarks is None else landmark_warp(rest, *shared_points(*inputs.landmarks[::-1]))
    moves = (inputs.poses - source.vertices)[:, KDTree(source.vertices).query(queries)[1]]
    placed = solver.solve(field) + (rest.mean(0) + moves.mean(1))[:, None]
    contacts, goals = np.zeros(placed.shape[:2], bool), placed
    if ground:
        axis = AXES.index(ground)
        contacts, places = ground_contacts(source.vertices, inputs.poses, rest, queries, axis)
        goals = contact_goals(contacts, placed, places, rest, axis)
    return _pinned(solver, field, placed, contacts, goals, pins, stiffness), bool(contacts.any())


def _method(run: PoseMethod | Path | str, refine: int) -> PoseMethod:
    """The method of a run, or of a name, refined if that is asked for."""
    if not isinstance(run, (Path, str)):
        method = run
    elif str(run) == NEAREST_FACE:
        method = NearestFace()
    elif not Path(run).exists():
        raise PplkitError(f"there is no run {str(run)!r}: {choice(run, [NEAREST_FACE, 'a run folder of mesh pose'])}.")
    else:
        method = load_mesh_run(run).model
    if refine < 0 or refine and not isinstance(method, MeshModel):
        raise PplkitError(f"refine={refine}: give a number of steps, and the run folder of a trained model.")
    return RefinedMethod(method, refine) if refine and isinstance(method, MeshModel) else method


def _pins(pins: Mapping[int, Any] | None, inputs: TransferInputs, number: np.ndarray) -> dict[int, np.ndarray]:
    """Goals (K, 3) of pinned vertices, in the frame and numbers of the welded mesh."""
    goals, shape = {}, (len(inputs.poses), 3)
    for vertex, place in (pins or {}).items():
        if not 0 <= vertex < len(number):
            raise PplkitError(f"pins name vertex {vertex} of {inputs.target.source}: it has 0 to {len(number) - 1}.")
        place = np.asarray(place, np.float64)
        if place.shape not in ((3,), shape) or not np.isfinite(place).all():
            raise PplkitError(f"the pin of vertex {vertex} has the shape {place.shape}: give (3,) or {shape}, finite.")
        goals[int(number[vertex])] = np.broadcast_to(inputs.inside(place), shape)
    return goals


def _pinned(
    solver: PoissonSolver,
    field: np.ndarray,
    placed: np.ndarray,
    contacts: np.ndarray,
    goals: np.ndarray,
    pins: Mapping[int, np.ndarray],
    stiffness: float,
) -> np.ndarray:
    """The poses again, held at pins and contacts, frames with the same contacts in one solve."""
    result = placed.copy()
    sets, which = np.unique(contacts, axis=0, return_inverse=True)
    for group, held in enumerate(sets):
        frames = np.flatnonzero(which.reshape(-1) == group)
        wanted = {int(vertex): goals[frames, vertex] for vertex in np.flatnonzero(held)}
        wanted |= {vertex: place[frames] for vertex, place in pins.items()}
        if wanted:
            result[frames] = solver.solve(field[frames], wanted, stiffness)
    return result
