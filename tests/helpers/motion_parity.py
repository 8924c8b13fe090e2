"""Stored numbers of the released motion loop, and the weights by names that they were made with."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor


def arrays(parity: Path, name: str) -> dict[str, np.ndarray]:
    """The arrays of one file of the folder `motion`."""
    with np.load(parity / "motion" / f"{name}.npz") as file:
        return dict(file)


def keys(parity: Path) -> dict:  # type: ignore[type-arg]
    """Names, shapes, the body and the settings of the released code."""
    return json.loads((parity / "motion" / "motion_keys.json").read_text())  # type: ignore[no-any-return]


def weights(parity: Path) -> ModuleType:
    """The rule that fills tensors by their names."""
    spec = importlib.util.spec_from_file_location("motion_weights", parity / "motion" / "motion_weights.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def state(parity: Path, key: str) -> dict[str, Tensor]:
    """A filled state dict."""
    filled = weights(parity).filled(f"{key}.", keys(parity)[key])
    return {name: torch.from_numpy(np.asarray(value)) for name, value in filled.items()}


def close(value: object, wanted: np.ndarray, tolerance: float = 1e-5) -> None:
    """Assert equality to a tolerance relative to the largest stored number."""
    value = value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)
    assert value.shape == wanted.shape
    assert np.abs(value - wanted).max() <= tolerance * max(np.abs(wanted).max(), 1e-3)
