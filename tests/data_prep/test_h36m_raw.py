"""Human3.6M as published: films, CDF and MATLAB files; crops and joints by hand, lengths that differ, every fault."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from h36m_source import (
    FOLDERS,
    FRAMES,
    HEIGHT,
    JOINT,
    WIDTH,
    A,
    B,
    C,
    boxed,
    check_spots,
    cut,
    drawn,
    kept,
    make_raw,
    middle,
    poses_of,
    write_masks,
    write_poses,
)

from data_prep.h36m import prepare
from pplkit.core.errors import PplkitError
from pplkit.data import video as frames
from pplkit.data.dataset import open_dataset


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_raw(tmp_path_factory.mktemp("raw"))


@pytest.mark.parametrize("naming", ["official", "flat"])
def test_a_raw_film_is_sampled_cropped_and_kept_together(tmp_path: Path, naming: str) -> None:
    data = open_dataset(prepare(make_raw(tmp_path / "source", naming), tmp_path / "out", size=64, every=4))
    films = {"train": [f"S1/Videos/{A}.mp4", f"S9/Videos/{B}.mp4"], "test": [f"S11/Videos/{C}.mp4"]}
    assert kept(data) == {part: [f"{film} frame {n}" for film in films[part] for n in (0, 4, 8)] for part in films}
    train, test = data["train"], data["test"]
    assert train.videos is not None and train.videos.tolist() == [0, 0, 0, 1, 1, 1]
    assert test.videos is not None and test.videos.tolist() == [2, 2, 2] and train.masks is None
    for split in (train, test):
        check_spots(split, 64)
    assert train.keypoints is not None
    # The square is (18, 16, 82, 80), 64 pixels: the spot of frame 4, (40, 44), lies on pixel (22, 28) of it.
    np.testing.assert_allclose((train.keypoints[1, JOINT] + 1) / 2 * 63, (22, 28), atol=1e-4)
    # Without a box: the joints' middle is at (44.5, 46.5) from the edges, 32 pixels and 15 % on both sides are 41.6.
    expected = (np.array([32.5, 40.5]) - (44.5 - 20.8, 46.5 - 20.8)) * 64 / 41.6 - 0.5
    np.testing.assert_allclose((train.keypoints[3, JOINT] + 1) / 2 * 63, expected, atol=1e-4)
    assert [name for name, _ in data.dropped] == ["S5", "S6", "S7", "S8"]


def test_raw_masks_lie_on_the_person(raw: Path, tmp_path: Path) -> None:
    data = open_dataset(prepare(raw, tmp_path / "out", size=64, masks=True))
    for split in data.splits.values():
        assert split.masks is not None and split.keypoints is not None
        for mask, points in zip(np.asarray(split.masks), split.keypoints, strict=True):
            assert set(np.unique(mask)) == {0, 255}
            np.testing.assert_allclose(middle(mask), (points[JOINT] + 1) / 2 * 63, atol=0.5)
    assert np.asarray(data["train"].masks)[0].sum() == 81 * 255  # 9 x 9 pixels at their own scale
    expected = {"layout": None, "every": 10, "masks": True, "crop": "labels", "subjects": None, "actions": None}
    assert data.options == expected


def test_frames_without_a_box_or_a_mask(tmp_path: Path) -> None:
    source = make_raw(tmp_path / "source")
    (boxes, masks) = (source / "S1" / folder / f"{A}.mat" for folder in FOLDERS["official"][1:])
    write_masks(boxes, [boxed(), None, np.zeros((HEIGHT, WIDTH), bool)])
    write_masks(masks, [drawn(f)[..., 0] > 0 if f != 1 else None for f in range(3)])
    scales = []
    for wanted in (False, True):
        data = open_dataset(prepare(source, tmp_path / f"{wanted}", size=64, every=1, masks=wanted, subjects=[1]))
        check_spots(data["train"], 64)
        # 81 pixels at the scale of the box, 192 at that of the joints
        scales.append([bool(lit > 130) for lit in (np.asarray(data["train"].images)[..., 0] > 127).sum((1, 2))])
    assert scales[0] == [False] + [True] * 11
    assert scales[1] == [False, True]  # frames 0 and 2: the others have no mask


def test_films_and_poses_may_differ_by_a_second(tmp_path: Path) -> None:
    source = make_raw(tmp_path / "source")
    poses = source / "S1" / FOLDERS["official"][0] / f"{A}.cdf"
    for count, images in ((5, 5), (1, 1), (FRAMES + 50, FRAMES)):
        write_poses(poses, poses_of(count))
        data = open_dataset(prepare(source, tmp_path / f"{count}", size=32, every=1, subjects=[1]))
        assert len(data["train"]) == images
    write_poses(poses, poses_of(FRAMES + 51))
    with pytest.raises(PplkitError, match=r"54138969\.mp4 ends after 12 frames, .*cdf has 63"):
        prepare(source, tmp_path / "out", size=32, subjects=[1])


@pytest.mark.parametrize(("every", "expected"), [(1, [0, 1, *range(3, 12)]), (2, [0, 3, 4, 6, 8, 10])])
def test_joints_stay_with_their_frame_behind_one_that_is_damaged(
    raw: Path, tmp_path: Path, every: int, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = frames._decoded

    def damaged(container: Any, stream: Any) -> Iterator[Any]:
        for number, frame in enumerate(decoded(container, stream)):
            yield None if number == 2 else frame

    monkeypatch.setattr(frames, "_decoded", damaged)
    data = open_dataset(prepare(raw, tmp_path / "out", size=64, every=every, subjects=[1]))
    assert data["train"].sources == [f"{FILM} frame {number}" for number in expected]
    check_spots(data["train"], 64)
    assert data.dropped[-1][0] == FILM and "54138969.mp4 is damaged in 1 place;" in data.dropped[-1][1]
    with pytest.raises(PplkitError, match="damaged in 1 place;"):
        prepare(raw, tmp_path / "strict", size=64, subjects=[1], strict=True)


def test_rows_before_a_fault_are_kept(tmp_path: Path) -> None:
    source = make_raw(tmp_path / "source")
    poses = poses_of()
    poses[5] = 1e5
    write_poses(source / f"{POSE}.cdf", poses)
    data = open_dataset(prepare(source, tmp_path / "out", size=64, every=1, subjects=[1]))
    assert data["train"].sources == [f"{FILM} frame {number}" for number in range(5)]
    check_spots(data["train"], 64)
    assert data.dropped[-1][0] == FILM and "far outside" in data.dropped[-1][1]


def test_the_film_that_is_broken_at_its_publisher(tmp_path: Path) -> None:
    source = make_raw(tmp_path / "source")
    (source / "S11/Videos/Directions.54138969.mp4").write_bytes(b"broken")
    data = open_dataset(prepare(source, tmp_path / "out", size=32, strict=True))
    assert data.dropped[-1] == ("S11/Videos/Directions.54138969.mp4", "this video is damaged at its publisher")


POSE, BOX_FILE, MASK_FILE = (f"S1/{folder}/{A}" for folder in FOLDERS["official"])
FILM = f"S1/Videos/{A}.mp4"
RAW_FAULTS = [
    (lambda s: (s / f"{POSE}.cdf").unlink(), r"D2_Positions.*\.cdf is missing; download it again"),
    (lambda s: cut(s / f"{POSE}.cdf"), r"\.cdf cannot be read as a CDF file with Pose"),
    (lambda s: write_poses(s / f"{POSE}.cdf", np.zeros((12, 34))), r"\.cdf has Pose of shape \(1, 12, 34\)"),
    (lambda s: write_poses(s / f"{POSE}.cdf", np.full((12, 64), np.nan)), r"\.cdf has Pose .* or "),
    (lambda s: write_poses(s / f"{POSE}.cdf", np.full((12, 64), 1e5)), r"\.cdf has joints .* far outside"),
    (lambda s: (s / FILM).write_bytes(b""), r"\.mp4 cannot be read as a video"),
    (lambda s: (s / FILM).write_text("text" * 100), r"\.mp4 cannot be read as a video"),
    (lambda s: cut(s / FILM), r"\.mp4 cannot be read as a video"),
    (lambda s: cut(s / f"{BOX_FILE}.mat"), r"ground_truth_bb.*\.mat cannot be read as a MATLAB 7\.3 file"),
    (lambda s: (s / f"{MASK_FILE}.mat").unlink(), r"ground_truth_bs.*\.mat is missing"),
    (lambda s: (s / f"{MASK_FILE}.mat").write_text("text"), r"ground_truth_bs.*\.mat cannot be read as a MATLAB"),
]


@pytest.mark.parametrize(("spoil", "message"), RAW_FAULTS)
def test_a_fault_of_a_film_is_one_sentence(tmp_path: Path, spoil: Any, message: str) -> None:
    source = make_raw(tmp_path / "source")
    spoil(source)
    with pytest.raises(PplkitError, match=message) as caught:
        prepare(source, tmp_path / "made" / "out", size=32, masks=True, strict=True)
    assert "\n" not in str(caught.value) and not list(tmp_path.glob("made/*"))
    data = open_dataset(prepare(source, tmp_path / "out", size=32, masks=True, limit=0.3))
    assert data.dropped[-1][0] == FILM and data["train"].sources == [f"S9/Videos/{B}.mp4 frame {n}" for n in (0, 10)]


def test_a_box_file_of_something_else(tmp_path: Path) -> None:
    import h5py

    source = make_raw(tmp_path / "source")
    with h5py.File(source / f"{BOX_FILE}.mat", "w") as file:
        file["Boxes"] = np.zeros(3)
    with pytest.raises(PplkitError, match=r"ground_truth_bb.*\.mat has no mask that can be read in Masks"):
        prepare(source, tmp_path / "out", size=32, strict=True)


@pytest.mark.parametrize("package", ["av", "cdflib", "h5py"])
def test_a_missing_package_is_named(raw: Path, tmp_path: Path, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(PplkitError, match=rf"needs the package {package}: pip install (av|'pplkit\[data\]')"):
        prepare(raw, tmp_path / "out", size=32)
