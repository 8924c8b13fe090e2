"""Reads the bytes of a 3D scene as `scene_view.js` does, written apart from what writes them."""

import json
import zlib
from typing import Any

import numpy as np

MISSING = -(2**15)


class SceneBytes:
    """The header of a scene, and its arrays."""

    def __init__(self, content: bytes) -> None:
        content = zlib.decompress(content)
        length = int.from_bytes(content[:4], "little")
        self.header: dict[str, Any] = json.loads(content[4 : 4 + length])
        self._arrays = content[4 + length :]

    def array(self, entry: dict[str, Any]) -> np.ndarray:
        kind = np.dtype(entry["type"]).newbyteorder("<")
        size = int(np.prod(entry["shape"])) * kind.itemsize
        part = self._arrays[entry["offset"] : entry["offset"] + size]
        assert entry["offset"] % 4 == 0 and len(part) == size
        if entry.get("split"):
            part = np.frombuffer(part, np.uint8).reshape(2, -1).T.tobytes()
        return np.frombuffer(part, kind).reshape(entry["shape"])

    def positions(self, layer: dict[str, Any]) -> np.ndarray:
        numbers = self.array(layer["positions"])
        for _ in range(2):
            numbers = np.cumsum(numbers, axis=0, dtype=np.int16)
        points = np.array(layer["middle"]) + layer["step"] * numbers
        points[numbers == MISSING] = np.nan
        return points
