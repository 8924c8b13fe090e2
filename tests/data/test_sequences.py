from pathlib import Path

import numpy as np
import pytest

from pplkit.core.errors import PplkitError
from pplkit.data.sequences import Camera, PoseSequence, read_pairs, read_sequence
from pplkit.data.skeletons import COCO17, H36M17


def sequence(frames: int = 5, axes: int = 2, **fields: object) -> PoseSequence:
    points = np.random.default_rng(0).normal(size=(frames, 17, axes))
    return PoseSequence(**{"points": points, "fps": 50, "skeleton": COCO17, **fields})  # type: ignore[arg-type]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    camera = Camera(np.arange(9.0), np.array([1.0, 0, 0, 0]), np.array([1.0, 2, 3]))
    confidence = np.linspace(0, 1, 85).reshape(5, 17)
    given = sequence(confidence=confidence, camera=camera, size=(1000, 1002), source="S1 Walking 1")
    read = read_sequence(given.write(tmp_path / "a.npz"))
    assert np.array_equal(read.points, given.points) and read.points.dtype == np.float32
    assert np.array_equal(read.confidence, given.confidence) and read.skeleton == COCO17
    assert (read.fps, read.space, read.size, read.source) == (50, "image", (1000, 1002), "S1 Walking 1")
    assert read.camera is not None and np.array_equal(read.camera.translation, [1, 2, 3])
    plain = read_sequence(sequence(axes=3, space="world").write(tmp_path / "b.npz"))
    assert (plain.confidence, plain.camera, plain.size, plain.space) == (None, None, None, "world")


def test_files_that_are_no_sequence_are_named(tmp_path: Path) -> None:
    path = sequence().write(tmp_path / "a.npz")
    content = path.read_bytes()
    np.savez(tmp_path / "other.npz", x=1)
    np.savez(tmp_path / "pickle.npz", schema=np.array({}, dtype=object))
    np.savez(tmp_path / "later.npz", schema=2)
    (tmp_path / "cut.npz").write_bytes(content[: len(content) // 2])
    (tmp_path / "text.npz").write_text("hello")
    for name, words in {"other": "no schema", "pickle": "cannot be read", "later": "update pplkit"}.items():
        with pytest.raises(PplkitError, match=f"{name}.npz .*{words}"):
            read_sequence(tmp_path / f"{name}.npz")
    for name in ("cut", "text", "absent"):
        with pytest.raises(PplkitError, match=f"{name}.npz"):
            read_sequence(tmp_path / f"{name}.npz")
    with np.load(path) as file:
        np.savez(tmp_path / "shape.npz", **dict(file) | {"points": np.zeros((2, 3, 2))})
    with pytest.raises(PplkitError, match=r"shape.npz: points have the shape \(2, 3, 2\)"):
        read_sequence(tmp_path / "shape.npz")


@pytest.mark.parametrize(
    "fields",
    [{"fps": 0}, {"fps": np.nan}, {"space": "world"}, {"axes": 3, "space": "image"}, {"confidence": np.ones((5, 3))}]
    + [{"points": np.zeros((17, 2))}, {"points": np.zeros((5, 16, 2))}],
)
def test_values_that_do_not_fit_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(PplkitError):
        sequence(**fields)  # type: ignore[arg-type]


def test_resampling_keeps_time() -> None:
    frames = np.arange(11.0)
    points = np.broadcast_to(frames[:, None, None], (11, 17, 2)).copy()
    points[4, 3] = np.nan
    given = sequence(points=points, confidence=np.broadcast_to(frames[:, None] / 10, (11, 17)))
    half = given.resampled(25)
    assert half.fps == 25 and len(half) == 6 and np.array_equal(half.points[:, 0, 0], frames[::2])
    assert np.isnan(half.points[2, 3]).all() and np.isfinite(half.points[1, 3]).all()
    finer = given.resampled(60)
    assert len(finer) == 13 and np.allclose(finer.points[:, 0, 0], np.arange(13) * 50 / 60, atol=1e-6)
    assert np.isnan(finer.points[4, 3]).all() and np.allclose(finer.confidence[:, 0], np.arange(13) / 12, atol=1e-6)
    assert len(sequence(1).resampled(10)) == 1 and np.array_equal(given.resampled(50).points, given.points, True)


def test_the_weight_of_a_missing_joint_is_0() -> None:
    points = np.zeros((1, 17, 2))
    points[0, 4, 1] = np.nan
    assert sequence(points=points).weight.tolist() == [[1.0] * 4 + [0.0] + [1.0] * 12]


def test_a_mirror_exchanges_the_sides_and_twice_is_nothing() -> None:
    given = sequence(axes=3, skeleton=H36M17)
    mirrored = given.mirrored()
    left, right = (H36M17.joints.index(f"{side} wrist") for side in ("left", "right"))
    assert np.array_equal(mirrored.points[:, left], given.points[:, right] * [-1, 1, 1])
    assert np.array_equal(mirrored.mirrored().points, given.points)
    assert np.allclose(sequence(size=(640, 480)).mirrored().mirrored().points, sequence().points, atol=1e-4)
    with pytest.raises(PplkitError, match="size"):
        sequence().mirrored()


def test_pairs_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b", "a"):
        sequence(source=name).write(tmp_path / f"{name}_2d.npz")
        sequence(axes=3, source=name).write(tmp_path / f"{name}_3d.npz")
    pairs = read_pairs(tmp_path)
    assert [(flat.source, deep.source, deep.space) for flat, deep in pairs] == [
        ("a", "a", "camera"),
        ("b", "b", "camera"),
    ]
    (tmp_path / "b_3d.npz").unlink()
    with pytest.raises(PplkitError, match="b_3d.npz does not exist"):
        read_pairs(tmp_path)
    with pytest.raises(PplkitError, match="holds no pairs"):
        read_pairs(tmp_path / "none")
