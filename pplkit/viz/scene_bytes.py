"""A scene as bytes: a header in JSON and arrays, compressed; `widgets/scene_view.js` reads them.

Layout before compression (zlib): four bytes with the length of the header, little endian, the header, then the arrays,
each from a multiple of four bytes on. Coordinates are whole numbers of steps (int16), stored as their second
differences over time, which are small, and all low bytes before all high ones, which are alike.
"""

import json
import zlib
from typing import Any

import numpy as np

from pplkit.viz.scene_layers import Layer

STEPS = 2**13 - 1  # of a coordinate to either side of the middle: 0.1 mm for a motion of 2 m
LEVEL = 6  # of zlib: 9 takes ten times as long for a twentieth less
MISSING = -(2**15)  # the coordinates of a point that is NaN


class Packer:
    """Collects arrays, and joins them with a header that says where each one lies."""

    def __init__(self) -> None:
        self._blobs: list[bytes] = []

    def add(self, array: np.ndarray, split: bool = False) -> dict[str, Any]:
        """Append an array and return its entry of the header; `split` puts the low bytes of an int16 array first."""
        offset = sum(map(len, self._blobs))
        content = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        if split:
            content = content.view(np.uint8).reshape(-1, 2).T.copy()
        self._blobs.append(content.tobytes() + bytes(-content.nbytes % 4))
        entry = {"type": array.dtype.name, "shape": array.shape, "offset": offset}
        return entry | {"split": True} if split else entry

    def layer(self, layer: Layer) -> dict[str, Any]:
        """The entry of a layer, whose arrays are appended."""
        numbers, middle, step = quantized(layer.positions)
        for _ in range(2):  # int16 wraps around, here and in the script
            numbers[1:] = np.diff(numbers, axis=0)
        entry: dict[str, Any] = {"positions": self.add(numbers, split=True), "middle": middle.tolist(), "step": step}
        entry |= {"colors": np.round(layer.colors, 3).tolist(), "bones": layer.bones, "names": layer.names}
        entry |= {"title": layer.title, "sides": layer.sides}
        if layer.faces is not None:
            entry["faces"] = self.add(layer.faces)
        if layer.opacity is not None:
            opacity = np.nan_to_num(layer.opacity).clip(0, 1)
            entry["opacity"] = self.add(np.rint(255 * opacity).astype(np.uint8))
        return entry

    def join(self, header: dict[str, Any]) -> bytes:
        """The header and all arrays, compressed."""
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 4)
        return zlib.compress(len(text).to_bytes(4, "little") + text + b"".join(self._blobs), LEVEL)


def quantized(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Positions (T, N, C) as int16 numbers, the middle (C,) and the step; NaN becomes MISSING.

    middle + step * number gives the positions back to half a step on each axis.
    """
    low, high = np.nanmin(positions, (0, 1)).astype(float), np.nanmax(positions, (0, 1)).astype(float)
    middle, step = (low + high) / 2, max(float((high - low).max()) / 2 / STEPS, 1e-12)
    numbers = np.rint((positions - middle) / step)
    return np.where(np.isfinite(numbers), numbers, MISSING).astype(np.int16), middle, step
