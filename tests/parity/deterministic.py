"""The rule that filled the released model for the parity arrays: every tensor follows from its name and shape.

`official_keys.json` holds the names and shapes of the released state dict, `official_outputs.npz` what the released
code computed with these weights; its coordinates are (row, column).
"""

import json
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

FOLDER = Path(__file__).parent
SMALL = ("recover_embed", "predict.2")  # the layers whose outputs are coordinates: poses stay inside the image
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def deterministic(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal float32 numbers of `shape`, from a generator seeded with the CRC-32 of the name."""
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()))).standard_normal(shape).astype(np.float32)


def official_state() -> dict[str, Tensor]:
    """The released state dict, filled by the rule."""
    shapes = json.loads((FOLDER / "official_keys.json").read_text(encoding="utf8"))
    return {name: _constant(name) if _is_constant(name) else _filled(name, tuple(shapes[name])) for name in shapes}


def outputs() -> dict[str, np.ndarray]:
    """What the released code computed from these weights."""
    with np.load(FOLDER / "official_outputs.npz") as arrays:
        return {name: arrays[name] for name in arrays}


def frame() -> Tensor:
    """The images (2, 3, 128, 128) that the released code saw."""
    return torch.tanh(torch.from_numpy(deterministic("frame", (2, 3, 128, 128))))


def _is_constant(name: str) -> bool:
    return name.endswith("num_batches_tracked") or name.rsplit(".", 1)[-1] in ("coord", "mean", "std", "alpha")


def _constant(name: str) -> Tensor:
    if name == "regressor.coord":
        line = torch.linspace(-1, 1, 32)
        return torch.stack(torch.meshgrid(line, line, indexing="ij"), -1).reshape(1, -1, 2)
    if name.startswith("vgg_loss"):
        return torch.tensor(MEAN if name.endswith("mean") else STD).view(1, 3, 1, 1)
    return torch.ones(()) if name == "alpha" else torch.zeros((), dtype=torch.long)


def _filled(name: str, shape: tuple[int, ...]) -> Tensor:
    values = torch.from_numpy(deterministic(name, shape))
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "running_var":
        return 1 + 0.1 * values.abs()
    if leaf in ("running_mean", "bias"):
        return 0.05 * values
    if leaf == "ema_cluster_size":
        return 1 + values.abs()
    if leaf == "skeleton_scalar":
        return (values - 1) / 512
    if leaf == "weight" and len(shape) == 1:  # of a norm layer
        return 1 + 0.1 * values
    if leaf == "weight":
        values = values * math.sqrt(2 / math.prod(shape[1:]))
        return 0.3 * values if any(part in name for part in SMALL) else values
    return values
