"""Triangle meshes from files: OBJ, PLY, glTF, OFF, and the .anime sequences of DeformingThings4D."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pplkit.core.errors import PplkitError, reason
from pplkit.core.files import check_file
from pplkit.core.words import quantity
from pplkit.data.gltf_frames import read_morph_frames

ENDINGS = (".obj", ".ply", ".glb", ".gltf", ".off", ".anime")
MAX_MESH_BYTES = 2**31
EXPORT = "export the mesh again"
SMALLEST_HEIGHT = 1e-7  # lengths of its longest edge, below which a face has no area


@dataclass(frozen=True, eq=False, repr=False)
class Mesh:
    """A surface of triangles.

    Attributes:
        vertices: (V, 3) float64, in the order of the file; some may belong to no face.
        faces: (F, 3) int64 vertex numbers, each face with an area.
        source: where the mesh comes from, to be named in messages.
        repairs: what was left out of the file, a sentence each.
    """

    vertices: np.ndarray
    faces: np.ndarray
    source: str = "the mesh"
    repairs: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Mesh {self.source}: {len(self.vertices):,} vertices, {len(self.faces):,} triangles"

    @property
    def height(self) -> float:
        """The longest side of the box around the vertices."""
        return float(np.ptp(self.vertices, axis=0).max())


@dataclass(frozen=True, eq=False)
class MeshSequence:
    """A template and its poses: `poses` (T, V, 3) are the template's vertices over time, float64."""

    mesh: Mesh
    poses: np.ndarray


def checked_mesh(vertices: np.ndarray, faces: np.ndarray, source: str) -> Mesh:
    """A mesh of triangles, without faces that have no area or come twice.

    Raises PplkitError, naming the source, for vertices that are not finite, faces that name vertices which are not
    there, and meshes without a face that has an area.
    """
    vertices, faces = np.asarray(vertices, np.float64).reshape(-1, 3), np.asarray(faces, np.int64).reshape(-1, 3)
    if not len(vertices):
        raise PplkitError(f"{source} has no vertices: {EXPORT}.")
    if not len(faces):
        raise PplkitError(f"{source} has points but no faces: export a surface, not a point cloud or curves.")
    wrong = (faces < 0) | (faces >= len(vertices))
    if wrong.any():
        number = int(faces[wrong][0])
        raise PplkitError(f"{source} has a face with vertex {number} of {len(vertices)}, from 0 on: {EXPORT}.")
    if not np.isfinite(vertices).all():
        number = int((~np.isfinite(vertices).all(1)).sum())
        raise PplkitError(f"{number:,} of {len(vertices):,} vertices of {source} are not finite: {EXPORT}.")
    corners = vertices[faces]
    edges = corners - np.roll(corners, 1, axis=1)
    areas = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
    solid = areas > SMALLEST_HEIGHT * (edges**2).sum(2).max(1)
    if not solid.any():
        raise PplkitError(f"{source} has no face with an area: scale it up before exporting, or repair it.")
    kept = np.flatnonzero(solid)
    first = np.unique(np.sort(faces[kept], axis=1), axis=0, return_index=True)[1]
    repairs = []
    for number, what in ((len(faces) - len(kept), "without area"), (len(kept) - len(first), "given twice")):
        if number:
            repairs.append(f"{source}: {quantity(number, 'face')} {what} left out; the pose does not depend on them.")
    return Mesh(vertices, faces[kept[np.sort(first)]], source, tuple(repairs))


def read_mesh(path: Path | str) -> Mesh:
    """The mesh in a file: OBJ, PLY, glTF (.glb, .gltf), OFF, or the first frame of an .anime file.

    Faces with more than three corners are cut into triangles. Vertices are neither merged nor split, and texture
    coordinates, normals and materials are not read. All objects of a file become one mesh. Raises PplkitError, naming
    the file, for damaged files and for what `checked_mesh` refuses.
    """
    path = Path(path)
    if path.suffix.lower() not in ENDINGS:
        raise PplkitError(f"{path} has no ending of a mesh file: export it as one of {', '.join(ENDINGS[:-1])}.")
    check_file(path, "give a mesh file")
    size = path.stat().st_size
    if not 0 < size <= MAX_MESH_BYTES:
        raise PplkitError(f"{path} has {size:,} bytes, no mesh: {EXPORT}.")
    if path.suffix.lower() == ".anime":
        return read_anime(path).mesh
    try:
        vertices, faces = _read_obj(path) if path.suffix.lower() == ".obj" else _read_other(path)
    except PplkitError:
        raise
    except Exception as error:  # a torn or foreign file can fail anywhere inside a reader
        raise PplkitError(f"{path} is cut off or no {path.suffix} file ({reason(error)}): {EXPORT}.") from None
    return checked_mesh(vertices, faces, str(path))


def read_sequence(source: Path | str | Sequence[Path | str]) -> MeshSequence:
    """Poses of one mesh: an .anime file, a glTF file with morph targets, a folder of mesh files in the order of their
    names, or a list of files.

    The first file is the template, or what a glTF file holds without its targets. Raises PplkitError for files that
    are not the same mesh in other poses.
    """
    if isinstance(source, (str, Path)):
        folder = Path(source)
        if folder.suffix.lower() == ".anime":
            return read_anime(folder)
        if folder.suffix.lower() in (".glb", ".gltf") and (morphs := read_morph_frames(folder)):
            rest, faces, frames = morphs
            return MeshSequence(checked_mesh(rest, faces, str(folder)), frames)
        inside = sorted(path for path in folder.glob("*") if path.suffix.lower() in ENDINGS)
        files = inside if folder.is_dir() else [folder]
        if not files:
            raise PplkitError(f"{folder} holds no mesh files: give one with {', '.join(ENDINGS)}.")
    else:
        files = [Path(path) for path in source]
    first = read_mesh(files[0])
    poses = [first.vertices]
    for path in files[1:]:
        mesh = read_mesh(path)
        if mesh.vertices.shape != first.vertices.shape:
            counts = f"{len(mesh.vertices):,} vertices and {files[0]} {len(first.vertices):,}"
            raise PplkitError(f"{path} has {counts}: give poses of one mesh, exported without merging vertices.")
        poses.append(mesh.vertices)
    return MeshSequence(first, np.stack(poses))


def read_anime(path: Path | str) -> MeshSequence:
    """A sequence of DeformingThings4D: int32 numbers of frames, vertices and faces; float32 vertices of frame 0;
    int32 faces; float32 offsets of the other frames to frame 0. Raises PplkitError for any other file.
    """
    path = Path(path)
    check_file(path, "give an .anime file")
    content = path.read_bytes()
    head = np.frombuffer(content[:12], "<i4") if len(content) >= 12 else np.zeros(3, int)
    frames, count, triangles = (int(number) for number in head)
    size = 12 + 12 * (frames * count + triangles)
    if min(frames, count, triangles) < 1 or len(content) != size:
        expected = f"{size:,} bytes" if min(frames, count, triangles) > 0 else "a head of three positive numbers"
        raise PplkitError(f"{path} has {len(content):,} bytes and should have {expected}: download it again.")
    rest = np.frombuffer(content, "<f4", 3 * count, 12).reshape(count, 3).astype(np.float64)
    faces = np.frombuffer(content, "<i4", 3 * triangles, 12 + 12 * count)
    offsets = np.frombuffer(content, "<f4", 3 * count * (frames - 1), 12 + 12 * (count + triangles))
    poses = np.concatenate([rest[None], rest + offsets.reshape(frames - 1, count, 3)])
    if not np.isfinite(poses).all():
        raise PplkitError(f"{path} has vertices that are not finite: download it again.")
    return MeshSequence(checked_mesh(rest, faces, str(path)), poses)


def _read_obj(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and triangles of an OBJ file. trimesh would split and drop vertices where there are textures."""
    vertices: list[list[float]] = []
    faces: list[tuple[int, int, int]] = []
    with open(path, encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            words = line.split()
            try:
                if words[:1] == ["v"]:
                    x, y, z = words[1:4]
                    vertices.append([float(x), float(y), float(z)])
                elif words[:1] == ["f"]:
                    corners = [int(word.split("/", 1)[0]) for word in words[1:]]
                    if len(corners) < 3 or 0 in corners:
                        raise ValueError
                    # From 1 on, or backwards from the last vertex.
                    corners = [corner - 1 if corner > 0 else len(vertices) + corner for corner in corners]
                    faces += [(corners[0], *pair) for pair in zip(corners[1:], corners[2:], strict=False)]
            except ValueError:
                text = line.strip()[:40]
                raise PplkitError(
                    f"{path}, line {number} is no vertex or face of an OBJ file ({text}): {EXPORT}."
                ) from None
    return np.array(vertices), np.array(faces)


def _read_other(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and triangles through trimesh."""
    try:
        import trimesh
    except ImportError:
        raise PplkitError(f'{path} is read with trimesh: pip install "pplkit[mesh]", or export it as .obj.') from None
    if path.suffix.lower() == ".off":  # whose end trimesh does not miss
        words = path.read_text(encoding="utf-8", errors="replace").split()
        if (
            len(words) > 3
            and words[1].isdigit()
            and words[2].isdigit()
            and len(words) < 4 + 3 * int(words[1]) + 4 * int(words[2])
        ):
            raise ValueError(f"{words[1]} vertices and {words[2]} faces are announced")
    scene = trimesh.load_scene(path, process=False)
    order = {name: number for number, name in enumerate(scene.geometry)}  # of the file
    nodes = sorted(scene.graph.nodes_geometry, key=lambda node: (order[scene.graph[node][1]], node))
    vertices, faces, count = [np.zeros((0, 3))], [np.zeros((0, 3))], 0
    for node in nodes:
        transform, name = scene.graph[node]
        part: Any = scene.geometry[name]  # or a point cloud, or curves, which have no faces
        vertices.append(trimesh.transform_points(part.vertices, transform))
        faces.append(np.asarray(getattr(part, "faces", np.zeros((0, 3)))) + count)
        count += len(part.vertices)
    return np.concatenate(vertices), np.concatenate(faces)
