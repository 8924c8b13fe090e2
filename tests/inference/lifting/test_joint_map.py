"""Joints by name: left stays left, and what is not known is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from pplkit.core.errors import PplkitError
from pplkit.data.skeletons import COCO17, H36M17, HALPE26, LAYOUTS, Skeleton, standing_pose
from pplkit.inference.lifting.joint_map import given_layout, joints_of, layout_of
from pplkit.inference.lifting.people import Keypoints


def standing(layout: Skeleton, names: tuple[str, ...] | None = None) -> Keypoints:
    points = standing_pose(layout)[None] + 500
    return Keypoints(points=points, confidence=np.ones(points.shape[:2]), source="poses.json", names=names)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=lambda layout: layout.name)
def test_the_left_wrist_of_each_layout_is_the_left_wrist_of_the_lifter(layout: Skeleton) -> None:
    """The person faces the camera, so that what is left lies at the right of the image."""
    found = joints_of(standing(layout), layout_of(layout.name, standing(layout)), H36M17)
    places = dict(zip(H36M17.joints, found.points[0], strict=True))
    for joint, (x, _) in places.items():
        if joint.startswith(("left", "right")):
            assert (x > 500) == joint.startswith("left"), joint
    assert places["left wrist"].tolist() == [526, 600] and places["right ankle"].tolist() == [488, 690]


PUBLISHED = {  # shoulder, wrist, hip and ankle, left and right, as numbered by those who made the layout
    "coco17": ((5, 6), (9, 10), (11, 12), (15, 16)), "halpe26": ((5, 6), (9, 10), (11, 12), (15, 16)),
    "h36m17": ((11, 14), (13, 16), (4, 1), (6, 3)), "mpii16": ((13, 12), (15, 10), (3, 2), (5, 0)),
    "body25": ((5, 2), (7, 4), (12, 9), (14, 11)),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_points_are_taken_from_where_the_layout_was_published(name: str) -> None:
    """A layout that is mirrored in the kit would map its own names rightly, and everybody's keypoints wrongly."""
    count = len(LAYOUTS[name].joints)
    points = np.arange(count)[None, :, None] + np.zeros(2)
    keypoints = Keypoints(points=points, confidence=np.ones((1, count)), source="a")
    found = dict(zip(H36M17.joints, joints_of(keypoints, given_layout(name), H36M17).points[0, :, 0], strict=True))
    for part, numbers in zip(("shoulder", "wrist", "hip", "ankle"), PUBLISHED[name], strict=True):
        assert (found[f"left {part}"], found[f"right {part}"]) == numbers, part


def test_a_mirrored_map_is_noticed() -> None:
    """The commonest fault in public: a layout whose left joints are called right."""
    wrong = tuple(
        joint.replace("left", "LEFT").replace("right", "left").replace("LEFT", "right") for joint in COCO17.joints
    )
    found = joints_of(standing(COCO17), given_layout(wrong), H36M17)
    assert found.points[0, H36M17.joints.index("left wrist"), 0] < 500
    with pytest.raises(PplkitError, match=r"calls its point 1 'right eye', layout coco17 'left eye': leave the layout"):
        layout_of("coco17", standing(COCO17, wrong))


def test_without_a_layout_the_likely_one_is_named() -> None:
    message = "does not say which joints its 17 points are; by number and places they are coco17 or h36m17, the first"
    with pytest.raises(PplkitError, match=message):
        layout_of(None, standing(COCO17))
    with pytest.raises(
        PplkitError, match="layout halpe is unknown, and poses.json has 26 points; by their number .*halpe26"
    ):
        layout_of("halpe", standing(HALPE26))
    with pytest.raises(PplkitError, match="has 26 joints and layout coco17 has 17: use layout halpe26"):
        layout_of("coco17", standing(HALPE26))
    with pytest.raises(PplkitError, match="not in the order of layout h36m17: use layout coco17"):
        layout_of("h36m17", standing(COCO17))


def test_names_of_a_file_or_a_list_are_a_layout(tmp_path: Path) -> None:
    assert layout_of(None, standing(COCO17, COCO17.joints)).joints == COCO17.joints
    path = tmp_path / "names.json"
    for content in (list(COCO17.joints), {"joints": COCO17.joints}):
        path.write_text(json.dumps(content))
        assert given_layout(path).joints == given_layout(str(path)).joints == COCO17.joints
    path.write_text(json.dumps({"joints": ["a", "b"], "parents": [None, "a"]}))
    assert given_layout(path).parents == (-1, 0)
    path.write_text("[3]")
    with pytest.raises(PplkitError, match="names.json"):
        given_layout(path)
    assert given_layout(HALPE26) is HALPE26


def test_other_skeletons_go_by_name_in_any_order() -> None:
    cat = Skeleton("cat", ("body", "left paw", "right paw", "tail"), (-1, 0, 0, 0), ((1, 2),))
    given = given_layout(("Tail", "R_paw", "L_paw", "nose"))
    points = np.arange(8.0).reshape(1, 4, 2)
    keypoints = Keypoints(points=points, confidence=np.full((1, 4), 0.5), source="cat.csv")
    found = joints_of(keypoints, given, cat)
    assert np.isnan(found.points[0, 0]).all() and found.points[0, 1:].tolist() == [[4, 5], [2, 3], [0, 1]]
    assert found.confidence.tolist() == [[0, 0.5, 0.5, 0.5]]
    with pytest.raises(PplkitError, match="cat.csv has no body, left paw, right paw, which the lifter was trained on"):
        joints_of(keypoints, given_layout(("tail", "b", "c", "d")), cat)
