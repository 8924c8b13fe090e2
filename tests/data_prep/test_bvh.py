from pathlib import Path

import numpy as np
import pytest

from data_prep.bvh import main, prepare, read_joints17
from data_prep.motion_synthetic import motion_windows
from pplkit.core.errors import PplkitError
from pplkit.data.bvh import write_bvh
from pplkit.data.sequences import PoseSequence, read_sequence
from pplkit.data.skeletons import H36M17

LENGTHS = 0.01  # fraction of the height: legs of 0.83 m can be the left, the right or both


@pytest.mark.real
@pytest.mark.parametrize("name", ["dab", "jumping", "jumping_jacks", "wave_hello", "zombie"])
def test_joints_of_foreign_files_are_those_that_others_found(name: str, real_data: Path) -> None:
    """Two up axes, three units, two frame rates. How a body is turned about the vertical is free."""
    read = read_joints17(real_data / f"motion/animated_drawings/{name}.bvh")
    with np.load(real_data / "motion/animated_drawings_joints17.npz") as clips:
        expected = clips[name]
    points = read.points[:: round(read.fps / 30)][: len(expected)].astype(float)
    assert len(points) == len(expected)
    size = np.ptp(expected[..., 1])
    flat, wanted = points[..., [0, 2]], expected[..., [0, 2]]
    spread, target = (values.reshape(-1, 2) - values.reshape(-1, 2).mean(0) for values in (flat, wanted))
    turn = np.angle(((target[:, 0] + 1j * target[:, 1]) * np.conj(spread[:, 0] + 1j * spread[:, 1])).sum())
    turned = (spread[:, 0] + 1j * spread[:, 1]) * np.exp(1j * turn)
    assert np.abs(turned - (target[:, 0] + 1j * target[:, 1])).max() < LENGTHS * size
    assert np.abs(points[..., 1] - expected[..., 1]).max() < LENGTHS * size


def test_a_folder_of_files_becomes_sequences(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    points = motion_windows(0, 1, 120, 60.0, rule="gait")[0]
    sequence = PoseSequence(points=points, fps=60, skeleton=H36M17, space="world")
    write_bvh(tmp_path / "in" / "a.bvh", sequence)
    write_bvh(tmp_path / "in" / "deep" / "b.bvh", sequence)
    assert main([str(tmp_path / "in"), str(tmp_path / "out"), "--fps", "20"]) == 0
    files = sorted(path.name for path in (tmp_path / "out/train").iterdir())
    assert files == ["a.npz", "deep_b.npz"]
    read = read_sequence(tmp_path / "out/train/a.npz")
    assert (len(read), read.fps, read.skeleton) == (40, 20, H36M17) and read.points[..., 1].min() < 0.01
    with pytest.raises(PplkitError, match="holds no .bvh file"):
        prepare(tmp_path / "out", tmp_path / "other")
