"""Human3.6M: the simplified release, what the 32 joints are, which layout it is, options and the command line."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from h36m_source import FRAMES, JOINT, A, B, C, check_spots, cut, kept, make_raw, make_simplified, middle, spot_at
from scipy.io import savemat

from data_prep.h36m import NAMES, main, prepare
from pplkit.core.errors import PplkitError
from pplkit.data.dataset import open_dataset


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_raw(tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="module")
def simplified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_simplified(tmp_path_factory.mktemp("simplified"))


@pytest.mark.parametrize("size", [128, 64])
def test_the_simplified_release(simplified: Path, tmp_path: Path, size: int) -> None:
    data = open_dataset(prepare(simplified, tmp_path / "out", size=size, every=4, masks=True, crop="labels"))
    frames = [f"{n}.jpg" for n in (1, 5, 9)]
    folders = {"train": [f"S1/WithBackground/{A}", f"S9/WithBackground/{B}"], "test": [f"S11/WithBackground/{C}"]}
    assert kept(data) == {part: [f"{f}/{n}" for f in folders[part] for n in frames] for part in folders}
    train = data["train"]
    assert train.videos is not None and train.videos.tolist() == [0, 0, 0, 1, 1, 1]
    assert train.masks is not None and train.keypoints is not None
    check_spots(train, size)
    for mask, points in zip(np.asarray(train.masks), train.keypoints, strict=True):
        np.testing.assert_allclose(middle(mask), (points[JOINT] + 1) / 2 * (size - 1), atol=0.5)
    if size == 128:
        np.testing.assert_allclose((train.keypoints[0, JOINT] + 1) / 2 * 127, spot_at(0), atol=1e-4)


def test_every_frame_in_the_order_of_its_number(simplified: Path, tmp_path: Path) -> None:
    data = open_dataset(prepare(simplified, tmp_path / "out", size=32, every=1, subjects=[9], actions=["Walking"]))
    assert data["train"].sources == [f"S9/WithBackground/{B}/{n}.jpg" for n in range(1, FRAMES + 1)]
    assert data.options["subjects"] == [9] and data.options["actions"] == ["Walking"] and "test" not in data


def test_joints_have_their_names(simplified: Path, tmp_path: Path) -> None:
    data = open_dataset(prepare(simplified, tmp_path / "out", size=32))
    assert data.protocol == "h36m" and len(set(data.keypoint_names)) == len(NAMES) == 32
    assert [NAMES[i] for i in (3, 8, 15, 17, 19, 25, 27)] == [
        "right ankle", "left ankle", "head top", "left shoulder", "left wrist", "right shoulder", "right wrist",
    ]  # fmt: skip
    legs, arms = [(left, left - 5) for left in range(6, 11)], [(left, left + 8) for left in range(16, 24)]
    assert data.flip_pairs == legs + arms
    assert data.swap_pairs == [
        (1, 6), (2, 7), (3, 8), (4, 9), (5, 10), (17, 25), (18, 26), (19, 27), (20, 28), (21, 28), (22, 30), (23, 31),
    ]  # fmt: skip
    bones = {(NAMES[a], NAMES[b]) for a, b in data.skeleton}
    expected = {("left knee", "left ankle"), ("right elbow", "right wrist"), ("neck", "head"), ("pelvis", "right hip")}
    assert expected <= bones and len(bones) == 31
    order = np.arange(32)
    for left, right in data.flip_pairs:
        order[[left, right]] = right, left
    assert {tuple(sorted(order[list(bone)])) for bone in data.skeleton} == {tuple(sorted(b)) for b in data.skeleton}
    assert sorted(link for links in data.groups.values() for link in links) == list(range(31))
    for limb in ("left leg", "right leg", "left arm", "right arm"):
        assert all(NAMES[data.skeleton[link][1]].startswith(limb.split()[0]) for link in data.groups[limb])


LABEL = f"S1/Landmarks/{A}/1.mat"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: (s / LABEL).unlink(), r"1\.mat is missing"),
        (lambda s: (s / LABEL).write_text("text"), r"1\.mat cannot be read as a MATLAB file"),
        (lambda s: cut(s / LABEL), r"1\.mat cannot be read as a MATLAB file"),
        (lambda s: savemat(s / LABEL, {"other": 1}), r"1\.mat has no variable 'keypoints_2d'; download it again"),
        (lambda s: savemat(s / LABEL, {"keypoints_2d": np.zeros((17, 2))}), r"shape \(17, 2\), not \(32, 2\)"),
        (lambda s: savemat(s / LABEL, {"keypoints_2d": np.full((32, 2), 64.0)}), r"1\.mat has joints .* far outside"),
        (lambda s: savemat(s / LABEL, {"keypoints_2d": np.full((32, 2), np.nan)}), r"1\.mat has joints .* not numbers"),
        (lambda s: (s / f"S1/WithBackground/{A}/1.jpg").write_text("text"), r"1\.jpg cannot be read as an image"),
        (lambda s: (s / f"S1/BackgroudMask/{A}/1.png").unlink(), r"1\.png is missing"),
    ],
)
def test_a_fault_of_a_frame_is_one_sentence(tmp_path: Path, spoil: Any, message: str) -> None:
    source = make_simplified(tmp_path / "source")
    spoil(source)
    with pytest.raises(PplkitError, match=message) as caught:
        prepare(source, tmp_path / "made" / "out", size=32, masks=True, strict=True)
    assert "\n" not in str(caught.value) and not list(tmp_path.glob("made/*"))
    data = open_dataset(prepare(source, tmp_path / "out", size=32, every=1, masks=True, limit=0.1))
    assert len(data["train"]) == 23 and data.dropped[-1][0] == f"S1/WithBackground/{A}/1.jpg"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, "every is 0; give a whole number"),
        ({"subjects": [2]}, r"subjects has \[2\]; choose from 1, 5, 6, 7, 8, 9, 11"),
        ({"subjects": []}, "subjects has no entry"),
        ({"actions": ["Eating"]}, r"actions has \['Eating'\]; choose from Directions"),
        ({"actions": ["Greeting"]}, "has no video of the chosen subjects and actions"),
        ({"layout": "tiny"}, "layout is 'tiny'; choose one of raw, simplified"),
        ({"layout": "raw"}, "has no S1/Videos; give the folder that holds S1"),
    ],
)
def test_a_wrong_option(simplified: Path, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(PplkitError, match=message):
        prepare(simplified, tmp_path / "out", size=32, **options)
    assert not (tmp_path / "out").exists()


def test_the_layout_is_found_out_or_asked_for(raw: Path, simplified: Path, tmp_path: Path) -> None:
    both = tmp_path / "both"
    for source in (raw, simplified):
        for subject in source.iterdir():
            for folder in subject.iterdir():
                (both / subject.name).mkdir(parents=True, exist_ok=True)
                (both / subject.name / folder.name).symlink_to(folder)
    with pytest.raises(PplkitError, match="has both layouts .* choose one with layout: raw, simplified"):
        prepare(both, tmp_path / "out", size=32)
    for layout, ending in (("raw", "mp4 frame 0"), ("simplified", "1.jpg")):
        data = open_dataset(prepare(both, tmp_path / layout, size=32, layout=layout))
        assert data["train"].sources[0].endswith(ending) and data.options["layout"] == layout
    with pytest.raises(PplkitError, match="has no S1/Videos or S1/WithBackground"):
        prepare(tmp_path, tmp_path / "out", size=32)


def test_the_command_line(simplified: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--size", "32", "--every", "6", "--masks", "--layout", "simplified", "--subjects", "1", "11"]
    assert main([str(simplified), str(tmp_path / "out"), *options, "--actions", "Directions", "Posing"]) == 0
    assert "2 train, 2 test images of 32 pixels" in capsys.readouterr().out
    assert main([str(tmp_path / "nowhere"), "x"]) == 2
    assert "there is no folder" in capsys.readouterr().err
