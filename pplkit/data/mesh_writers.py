"""Writers of mesh poses: OBJ files, and glTF with a morph target for each frame."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from pplkit.core.files import write_bytes, write_text

FLOAT, UINT32 = 5126, 5125  # component types of glTF
VERTEX_BUFFER, INDEX_BUFFER = 34962, 34963


def write_obj(path: Path | str, vertices: np.ndarray, faces: np.ndarray) -> Path:
    """Write vertices (V, 3) and faces (F, 3) as an OBJ file that keeps every digit. Raises WriteError."""
    path = Path(path)
    lines = [f"v {float(x)!r} {float(y)!r} {float(z)!r}" for x, y, z in vertices]
    lines += [f"f {a} {b} {c}" for a, b, c in np.asarray(faces) + 1]
    write_text(path, "\n".join(lines) + "\n")
    return path


def write_obj_like(path: Path | str, original: Path | str, vertices: np.ndarray) -> Path:
    """Write an OBJ file with other vertices (V, 3): its polygons, groups, materials and texture coordinates stay.

    Normals are left out, as they no longer fit. Raises WriteError.
    """
    path, lines = Path(path), []
    places = iter(np.asarray(vertices, np.float64).tolist())
    for line in Path(original).read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.split()
        if words[:1] == ["v"]:
            x, y, z = next(places)
            lines.append(" ".join([f"v {x!r} {y!r} {z!r}", *words[4:]]))  # vertex colors stay
        elif words[:1] == ["f"]:
            lines.append(" ".join(["f", *("/".join(word.split("/")[:2]).rstrip("/") for word in words[1:])]))
        elif words[:1] != ["vn"]:
            lines.append(line)
    write_text(path, "\n".join(lines) + "\n")
    return path


def write_obj_series(folder: Path | str, poses: np.ndarray, faces: np.ndarray) -> list[Path]:
    """Write poses (T, V, 3) of a mesh as files 00000.obj, 00001.obj, ... of a folder. Raises WriteError."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return [write_obj(folder / f"{number:05d}.obj", pose, faces) for number, pose in enumerate(poses)]


def write_gltf(
    path: Path | str, rest: np.ndarray, faces: np.ndarray, poses: np.ndarray, fps: float = 30.0, name: str = "mesh"
) -> Path:
    """Write an animated mesh as binary glTF (.glb): a morph target for each pose, shown one after the other.

    Args:
        path: The file.
        rest: (V, 3) vertices, meters, y up as glTF has it.
        faces: (F, 3).
        poses: (T, V, 3) vertices of the frames.
        fps: Frames a second.
        name: Of the mesh in the file.

    Raises WriteError.
    """
    path, frames = Path(path), len(poses)
    buffer, views, accessors = bytearray(), [], []

    def add(values: np.ndarray, kind: str, target: int | None = None, bounds: bool = False) -> int:
        """The number of a new accessor for values (N, C) or (N,)."""
        view: dict[str, Any] = {"buffer": 0, "byteOffset": len(buffer), "byteLength": values.nbytes}
        views.append(view | ({"target": target} if target else {}))
        buffer.extend(values.tobytes())
        accessor: dict[str, Any] = {"bufferView": len(views) - 1, "count": len(values), "type": kind}
        accessor["componentType"] = FLOAT if values.dtype == np.float32 else UINT32
        if bounds:
            accessor |= {side: np.atleast_1d(getattr(values, side)(0)).tolist() for side in ("min", "max")}
        accessors.append(accessor)
        return len(accessors) - 1

    rest = np.asarray(rest, np.float32)
    position = add(rest, "VEC3", VERTEX_BUFFER, bounds=True)
    indices = add(np.asarray(faces, np.uint32).reshape(-1), "SCALAR", INDEX_BUFFER)
    moves = (np.asarray(poses, np.float32) - rest).astype(np.float32)
    targets = [{"POSITION": add(move, "VEC3", VERTEX_BUFFER, bounds=True)} for move in moves]
    primitive = {"attributes": {"POSITION": position}, "indices": indices, "targets": targets}
    document: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "pplkit"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "name": name}],
        "meshes": [{"name": name, "primitives": [primitive], "weights": [0.0] * frames}],
    }
    if frames:
        times = add((np.arange(frames) / fps).astype(np.float32), "SCALAR", bounds=True)
        weights = add(np.eye(frames, dtype=np.float32).reshape(-1), "SCALAR")
        sampler = {"input": times, "output": weights, "interpolation": "LINEAR"}
        channel = {"sampler": 0, "target": {"node": 0, "path": "weights"}}
        document["animations"] = [{"name": "poses", "samplers": [sampler], "channels": [channel]}]
    document |= {"accessors": accessors, "bufferViews": views, "buffers": [{"byteLength": len(buffer)}]}
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    total = 12 + 8 + len(text) + 8 + len(buffer)
    chunks = [struct.pack("<4sII", b"glTF", 2, total), struct.pack("<I4s", len(text), b"JSON"), text]
    write_bytes(path, b"".join([*chunks, struct.pack("<I4s", len(buffer), b"BIN\0"), bytes(buffer)]))
    return path
