"""What all tests share: one thread for arithmetic, no windows, and the folders of outside data."""

import os
from pathlib import Path

import pytest
import torch

SHARED = Path(__file__).resolve().parents[2] / "shared"

torch.set_num_threads(1)  # the models of the tests are too small to gain from more
os.environ.setdefault("MPLBACKEND", "Agg")


def _folder(path: Path, what: str) -> Path:
    if not path.is_dir():
        pytest.skip(f"{what} not found at {path}")
    return path


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with CUB_200_2011 and 11k_hands; skips where it is absent."""
    return _folder(Path(os.environ.get("PPLKIT_REAL_DATA", SHARED / "data")), "real data")


@pytest.fixture(scope="session")
def parity() -> Path:
    """The folder with outputs of the released code; skips where it is absent."""
    return _folder(SHARED / "parity", "outputs of the released code")
