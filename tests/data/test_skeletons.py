import json
from pathlib import Path

import numpy as np
import pytest

from pplkit.core.errors import PplkitError
from pplkit.data.skeletons import (
    BODY25,
    COCO17,
    H36M17,
    HALPE26,
    LAYOUTS,
    MPII16,
    STANDING,
    Skeleton,
    check_layout,
    likely_layouts,
    read_skeleton,
    standing_pose,
    to_h36m17,
)


def standing(layout: Skeleton) -> np.ndarray:
    return standing_pose(layout)[None]


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=lambda layout: layout.name)
def test_left_stays_left_in_every_map(layout: Skeleton) -> None:
    points, confidence = to_h36m17(standing(layout), layout)
    for joint, (x, y) in zip(H36M17.joints, points[0], strict=True):
        side, _, part = joint.partition(" ")
        if side in ("left", "right"):
            assert (x, y) == (STANDING[part][0] * (1 if side == "left" else -1), STANDING[part][1]), joint
    assert np.allclose(points[0, [0, 7, 8, 10], 0], 0, atol=1) and (confidence == 1).all()
    assert points[0, H36M17.joints.index("head"), 1] < points[0, H36M17.joints.index("thorax"), 1]


def test_the_published_orders() -> None:
    assert COCO17.joints[:6] == ("nose", "left eye", "right eye", "left ear", "right ear", "left shoulder")
    assert COCO17.joints[-2:] == ("left ankle", "right ankle")
    assert H36M17.parents == (-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15)
    assert sorted(H36M17.flip_pairs) == [(4, 1), (5, 2), (6, 3), (11, 14), (12, 15), (13, 16)]
    assert [HALPE26.joints.index(name) for name in ("head", "neck", "pelvis")] == [17, 18, 19]
    assert MPII16.root == 6 and HALPE26.root == 19 and H36M17.root == 0


def test_mpii_goes_where_the_published_list_says() -> None:
    points = np.random.default_rng(0).normal(size=(2, 16, 2))
    order = [3, 2, 1, 4, 5, 6, 0, 8, 9, 10, 16, 15, 14, 11, 12, 13]
    mapped, _ = to_h36m17(points, MPII16)
    assert np.array_equal(mapped[:, order], points)
    assert np.allclose(mapped[:, 7], points[:, [2, 3, 12, 13]].mean(1))


def test_made_joints_of_coco_by_hand() -> None:
    points, _ = to_h36m17(standing(COCO17), COCO17)
    joints = dict(zip(H36M17.joints, points[0].tolist(), strict=True))
    assert joints["pelvis"] == [0, 100] and joints["thorax"] == [0, 52] and joints["spine"] == [0, 76]
    assert joints["nose"] == [3, 32] and joints["head"] == [0, 28]  # 30 + 30 - 32
    refined, _ = to_h36m17(standing(COCO17), COCO17, refine=True)
    joints = dict(zip(H36M17.joints, refined[0].tolist(), strict=True))
    assert joints["thorax"] == pytest.approx([1, 52 - 20 / 3 - 4 / 3])
    assert joints["nose"] == pytest.approx([2.25, 37]) and joints["spine"] == pytest.approx([-0.15, 76])


def test_missing_joints_are_missing_where_they_are_needed_and_nowhere_else() -> None:
    confidence = np.full((1, 17), 0.9)
    confidence[0, COCO17.joints.index("left hip")] = 0
    points = standing(COCO17)
    points[0, COCO17.joints.index("right wrist")] = np.nan
    points[0, COCO17.joints.index("left ear")] = np.nan
    mapped, weight = to_h36m17(points, COCO17, confidence)
    missing = [name for name, w in zip(H36M17.joints, weight[0], strict=True) if w == 0]
    assert missing == ["pelvis", "left hip", "spine", "right wrist"]
    assert (np.isnan(mapped[0]).any(-1) == (weight[0] == 0)).all() and weight.max() == 0.9


def test_a_wrong_number_of_joints_is_answered_with_the_likely_layout() -> None:
    with pytest.raises(PplkitError, match="poses.json has 26 joints and layout coco17 has 17: use layout halpe26"):
        check_layout(standing(HALPE26), COCO17, "poses.json")
    with pytest.raises(PplkitError, match="has 21 joints .* JSON file"):
        check_layout(np.zeros((1, 21, 2)), COCO17)


def test_coco_given_as_h36m_is_noticed_and_the_reverse() -> None:
    check_layout(standing(COCO17), COCO17)
    check_layout(standing(H36M17), H36M17)
    with pytest.raises(PplkitError, match="not in the order of layout h36m17: use layout coco17"):
        check_layout(standing(COCO17), H36M17)
    with pytest.raises(PplkitError, match="use layout h36m17"):
        check_layout(standing(H36M17), COCO17)


def test_likely_layouts_have_the_number_of_joints_and_the_likeliest_order_first() -> None:
    assert likely_layouts(standing(H36M17)) == ["h36m17", "coco17"]
    assert likely_layouts(standing(COCO17)) == ["coco17", "h36m17"]
    assert likely_layouts(np.zeros((1, 25, 2))) == ["body25"] and likely_layouts(np.zeros((1, 21, 2))) == []


def test_body25_has_the_order_of_openpose() -> None:
    order = dict(enumerate(BODY25.joints))
    assert [order[n] for n in (0, 1, 4, 7, 8, 11, 14, 15, 18)] == [
        "nose", "neck", "right wrist", "left wrist", "pelvis", "right ankle", "left ankle", "right eye", "left ear",
    ]  # fmt: skip
    assert [order[n] for n in range(19, 25)] == [
        f"{side} {part}" for side in ("left", "right") for part in ("big toe", "small toe", "heel")
    ]


def test_half_bodies_are_mapped_where_that_is_asked_for() -> None:
    upper = [joint for joint in COCO17.joints if "knee" not in joint and "ankle" not in joint]
    half = Skeleton("half", tuple(upper), (-1, *[0] * (len(upper) - 1)))
    points = standing(COCO17)[:, : len(upper)]
    with pytest.raises(PplkitError, match="skeleton half has no right knee"):
        to_h36m17(points, half)
    mapped, confidence = to_h36m17(points, half, partial=True)
    missing = [joint for joint, sure in zip(H36M17.joints, confidence[0], strict=True) if not sure]
    assert missing == ["right knee", "right ankle", "left knee", "left ankle"]
    whole, _ = to_h36m17(standing(COCO17), COCO17)
    assert np.array_equal(mapped[confidence > 0], whole[confidence > 0])
    with pytest.raises(PplkitError, match="skeleton hand has no right hip"):
        to_h36m17(points[:, :2], Skeleton("hand", ("left thumb", "left wrist"), (-1, 0)), partial=True)


@pytest.mark.real
@pytest.mark.parametrize("name", ["deepmimic_joints17.npz", "animated_drawings_joints17.npz"])
def test_recorded_motion_is_taken_for_its_own_layout(name: str, real_data: Path) -> None:
    """Also rolls, flips and crawling, from four sides."""
    with np.load(real_data / "motion" / name) as clips:
        for clip in map(clips.get, clips):
            for angle in np.arange(4) * np.pi / 2 + 0.3:
                view = np.stack([clip[..., 0] * np.cos(angle) + clip[..., 2] * np.sin(angle), -clip[..., 1]], -1)
                check_layout(view, H36M17)
                if name.startswith("animated"):
                    for frame in range(0, len(view), 20):
                        check_layout(view[frame : frame + 1], H36M17)
                    with pytest.raises(PplkitError, match="use layout h36m17"):
                        check_layout(view, COCO17)


def test_a_skeleton_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "cat.json"
    content = {"joints": ["tail", "body", "L_paw", "R_paw"], "parents": ["body", None, 1, "body"]}
    path.write_text(json.dumps(content))
    cat = read_skeleton(path)
    assert cat == Skeleton("cat", ("tail", "body", "L_paw", "R_paw"), (1, -1, 1, 1), ((2, 3),))
    assert cat.root == 1 and cat.mirror == [0, 1, 3, 2] and cat.order[0] == 1
    with pytest.raises(PplkitError, match="skeleton cat has no right hip"):
        to_h36m17(np.zeros((1, 4, 2)), cat)


@pytest.mark.parametrize(
    "change",
    [{"parents": ["b", "a"]}, {"parents": [None]}, {"joints": ["a", "a"]}, {"parents": ["c", None]}]
    + [{"flip_pairs": [["a", "b"], ["b", "a"]]}, {"joints": 3}, {"joints": []}],
)
def test_skeletons_that_make_no_tree_are_refused(change: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps({"joints": ["a", "b"], "parents": [None, "a"]} | change))
    with pytest.raises(PplkitError, match=r"wrong.*give \{"):
        read_skeleton(path)


def test_an_unknown_layout_names_the_known_ones() -> None:
    with pytest.raises(PplkitError, match="layout body8 is unknown: choose coco17, h36m17, halpe26, mpii16, body25"):
        read_skeleton("body8")
