"""Files as the detectors write them, made here by hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pplkit.core.errors import PplkitError
from pplkit.data.skeletons import BODY25
from pplkit.inference.lifting.detector_files import Found, read_detector_json

POINTS = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
SCORES = [0.5, 1.4, 0.0]  # heat maps exceed 1
FLAT = [1.0, 2.0, 0.5, 3.0, 4.0, 1.4, 5.0, 6.0, 0.0]


def read(content: Any, path: Path) -> Found:
    path.write_text(json.dumps(content))
    return read_detector_json(path)


def check(found: Found, frames: list[int], people: list[str | None]) -> None:
    assert [d.frame for d in found.detections] == frames and [d.person for d in found.detections] == people
    for detection in found.detections:
        assert np.array_equal(detection.points, POINTS)
        assert np.allclose(detection.confidence, [0.5, 1, 0])


def test_coco_results_and_alphapose(tmp_path: Path) -> None:
    row = {"keypoints": FLAT, "score": 2.0, "category_id": 1}
    coco = [{**row, "image_id": number} for number in (40, 10, 20)]
    check(read(coco, tmp_path / "coco.json"), [3, 0, 1], [None] * 3)
    alphapose = [{**row, "image_id": f"clip_{number:03d}.jpg", "idx": [2.0]} for number in (8, 9, 11)]
    check(read(alphapose, tmp_path / "alpha.json"), [0, 1, 3], ["2"] * 3)
    unrelated = [{**row, "image_id": number} for number in (397133, 9, 252219)]
    check(read(unrelated, tmp_path / "images.json"), [0, 1, 2], [None] * 3)
    named = [{**row, "image_id": name} for name in ("b.jpg", "a.jpg", "b.jpg")]
    check(read(named, tmp_path / "names.json"), [0, 1, 0], [None] * 3)


def test_coco_annotations_and_what_the_kit_exports(tmp_path: Path) -> None:
    images = [{"id": n, "file_name": f"{n:02d}.png", "width": 640, "height": 480} for n in (5, 6)]
    flags = [1, 2, 2, 3, 4, 2, 5, 6, 0]
    notes = [{"image_id": n, "keypoints": flags, "keypoint_scores": SCORES, "category_id": 1} for n in (5, 6)]
    content = {"images": images, "annotations": notes, "categories": [{"id": 1, "keypoints": ["a", "b", "c"]}]}
    found = read(content, tmp_path / "a.json")
    check(found, [0, 1], [None, None])
    assert found.names == ("a", "b", "c") and found.size == (640, 480)
    images[0]["width"] = 641
    assert read(content, tmp_path / "b.json").size is None


def test_mmpose_of_videos_and_images(tmp_path: Path) -> None:
    person = {"keypoints": POINTS, "keypoint_scores": SCORES}
    frames = [{"frame_id": n, "instances": [person | {"track_id": 1}]} for n in (1, 2)]
    names = {"keypoint_id2name": {"1": "b", "0": "a", "10": "c"}}
    found = read({"meta_info": names, "instance_info": frames}, tmp_path / "video.json")
    check(found, [1, 2], ["1", "1"])
    assert found.names == ("a", "b", "c")
    check(read([person], tmp_path / "image.json"), [0], [None])


def test_a_folder_of_openpose(tmp_path: Path) -> None:
    for number in (0, 1, 3):
        people = [{"person_id": [-1], "pose_keypoints_2d": FLAT}] if number != 1 else []
        (tmp_path / f"clip_{number:012d}_keypoints.json").write_text(json.dumps({"version": 1.3, "people": people}))
    found = read_detector_json(tmp_path)
    check(found, [0, 3], [None, None])
    assert found.names is None
    body = {"people": [{"pose_keypoints_2d": [1.0, 2.0, 0.5] * 25}]}
    assert read(body, tmp_path / "one_keypoints.json").names == BODY25.joints


def test_poses_of_pplkit_estimate(tmp_path: Path) -> None:
    row = {"file": "a.mp4", "width": 64, "height": 48, "keypoints": POINTS, "confidence": SCORES, "seconds": 0}
    content = {"made_by": {}, "names": ["a", "b", "c"], "images": [{**row, "frame": n} for n in (0, 1, 2)]}
    found = read(content, tmp_path / "a.json")
    check(found, [0, 1, 2], [None] * 3)
    assert (found.names, found.size) == (("a", "b", "c"), (64, 48))
    content["images"][1]["file"] = "b.mp4"
    with pytest.raises(PplkitError, match="frames of several videos"):
        read(content, tmp_path / "b.json")


@pytest.mark.parametrize("content", [{}, {"people": [{}]}, [{"image_id": 1}], [{"image_id": 1, "keypoints": [1, 2]}], 3,
                                     [3], {"instance_info": [{}]}, {"images": [{"file": "a"}]}])  # fmt: skip
def test_other_files_are_named(content: Any, tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match=r"odd.json holds keypoints in no known form .*: give keypoints as COCO"):
        read(content, tmp_path / "odd.json")


def test_broken_and_missing_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(PplkitError, match="a.json is not valid JSON"):
        read_detector_json(tmp_path / "a.json")
    (tmp_path / "empty").mkdir()
    with pytest.raises(PplkitError, match="empty holds no"):
        read_detector_json(tmp_path / "empty")
    (tmp_path / "empty" / "1_keypoints.json").write_text('{"people": [{"pose_keypoints_2d": [1]}]}')
    with pytest.raises(PplkitError, match="1_keypoints.json is not OpenPose's"):
        read_detector_json(tmp_path / "empty")
