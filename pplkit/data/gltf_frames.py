"""Poses inside one glTF file: morph targets, mixed as the file's animation says."""

import base64
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np

from pplkit.core.errors import PplkitError, reason
from pplkit.core.files import check_file
from pplkit.data.images import path_inside

COMPONENTS = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}
TRIANGLES = 4
AGAIN = "export it again with its morph targets (shape keys)"


def read_morph_frames(path: Path | str) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Vertices (V, 3), faces (F, 3) and poses (T, V, 3) of the mesh with morph targets in a glTF file; None without.

    Poses are those at the key frames of the weights; without an animation, each target by itself. Positions are in the
    frame of the scene. Raises PplkitError, naming the file, if it is damaged, or if several meshes have targets.
    """
    path = Path(path)
    check_file(path, "give a glTF file")
    try:
        return _Document(path).frames()
    except PplkitError:
        raise
    except Exception as error:  # a torn or foreign file can fail anywhere inside
        raise PplkitError(f"{path} is cut off or no glTF file ({reason(error)}): {AGAIN}.") from None


class _Document:
    """The parts of a glTF 2.0 file."""

    def __init__(self, path: Path) -> None:
        content, self.path, self.binary = path.read_bytes(), path, b""
        if content[:4] == b"glTF":
            (length,) = struct.unpack_from("<I", content, 12)
            self.json = json.loads(content[20 : 20 + length])
            self.binary = content[28 + length :]
        else:
            self.json = json.loads(content)

    def frames(self) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        meshes, nodes = self.json.get("meshes", []), self.json.get("nodes", [])
        moving = [
            number
            for number, node in enumerate(nodes)
            if "mesh" in node and all(part.get("targets") for part in meshes[node["mesh"]]["primitives"])
        ]
        if not moving:
            return None
        if len(moving) > 1:
            raise PplkitError(f"{self.path} has {len(moving)} meshes with morph targets: export one of them alone.")
        vertices, faces, targets, count = [], [], [], 0
        for part in meshes[nodes[moving[0]]["mesh"]]["primitives"]:
            if part.get("mode", TRIANGLES) == TRIANGLES:
                points = self._values(part["attributes"]["POSITION"])
                corners = self._values(part["indices"]) if "indices" in part else np.arange(len(points))
                moves = [self._values(t["POSITION"]) if "POSITION" in t else 0 * points for t in part["targets"]]
                vertices.append(points)
                targets.append(np.stack(moves))
                faces.append(corners.reshape(-1, 3).astype(np.int64) + count)
                count += len(points)
        rest, moved = np.concatenate(vertices), np.concatenate(targets, 1)
        poses = rest + np.einsum("tm,mvd->tvd", self._weights(moving[0], len(moved)), moved)
        matrix = self._placed(moving[0])
        rest, poses = (points @ matrix[:3, :3].T + matrix[:3, 3] for points in (rest, poses))
        return rest, np.concatenate(faces), poses

    def _weights(self, node: int, count: int) -> np.ndarray:
        """Weights (T, M) of the targets at the key frames."""
        for animation in self.json.get("animations", []):
            for channel in animation["channels"]:
                if channel["target"].get("node") == node and channel["target"]["path"] == "weights":
                    sampler = animation["samplers"][channel["sampler"]]
                    values = self._values(sampler["output"]).reshape(-1, count)
                    # A cubic key is tangent, value, tangent.
                    if sampler.get("interpolation") == "CUBICSPLINE":
                        return values.reshape(-1, 3, count)[:, 1]
                    return values
        return np.eye(count)

    def _placed(self, node: int) -> np.ndarray:
        """The matrix (4, 4) from a node to the scene."""
        nodes = self.json["nodes"]
        above = {child: number for number, item in enumerate(nodes) for child in item.get("children", ())}
        matrix, steps = _matrix(nodes[node]), 0
        while node in above and steps < len(nodes):
            node, steps = above[node], steps + 1
            matrix = _matrix(nodes[node]) @ matrix
        return matrix

    def _values(self, number: int) -> np.ndarray:
        """An accessor as numbers (N, C) or (N,), float64, sparse ones filled."""
        accessor = self.json["accessors"][number]
        count, width, kind = (
            accessor["count"],
            WIDTHS[accessor["type"]],
            np.dtype(COMPONENTS[accessor["componentType"]]),
        )
        values = np.zeros((count, width))
        if "bufferView" in accessor:
            values[:] = self._view(accessor["bufferView"], accessor.get("byteOffset", 0), count, width, kind)
        if sparse := accessor.get("sparse"):
            where, what = sparse["indices"], sparse["values"]
            places = np.dtype(COMPONENTS[where["componentType"]])
            rows = self._view(where["bufferView"], where.get("byteOffset", 0), sparse["count"], 1, places)[:, 0]
            values[rows.astype(int)] = self._view(
                what["bufferView"], what.get("byteOffset", 0), sparse["count"], width, kind
            )
        return values[:, 0] if width == 1 else values

    def _view(self, number: int, offset: int, count: int, width: int, kind: np.dtype) -> np.ndarray:
        view = self.json["bufferViews"][number]
        content = self._buffer(view["buffer"])
        start, stride = view.get("byteOffset", 0) + offset, view.get("byteStride", width * kind.itemsize)
        return np.ndarray((count, width), kind, content, start, (stride, kind.itemsize))

    def _buffer(self, number: int) -> bytes:
        uri = self.json["buffers"][number].get("uri")
        if uri is None:
            return self.binary
        if uri.startswith("data:"):
            return base64.b64decode(uri.partition(",")[2])
        return path_inside(self.path.parent, uri).read_bytes()


def _matrix(node: dict[str, Any]) -> np.ndarray:
    """The matrix (4, 4) of a node against the one above."""
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    x, y, z, w = node.get("rotation", (0, 0, 0, 1))
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn * np.array(node.get("scale", (1, 1, 1))), node.get("translation", (0, 0, 0))
    return matrix
