"""The table of plausibility: by hand, with truth and without."""

from dataclasses import replace

import numpy as np
import pytest
from strides import lifted, walk

from pplkit.evaluation.motion import TITLES, MotionErrors, compare, motion_errors, table_lines
from pplkit.inference.imitation.clip import prepared


def test_numbers_of_a_shifted_and_stretched_truth_by_hand() -> None:
    truth = walk(30)
    clip = prepared(truth)
    true = clip.placed(truth.points.astype(float))
    points = true + [0.03, -0.02, 0.04]
    errors = motion_errors(points, clip, true)
    assert errors.mpjpe == pytest.approx(0, abs=1e-9) and errors.acceleration == pytest.approx(0, abs=1e-9)
    assert errors.world == pytest.approx(1000 * np.linalg.norm([0.03, -0.02, 0.04]))
    assert 10 < errors.penetration < 21 and errors.floating < 3  # feet sink by 20 mm unless they fly
    wrong = true.copy()
    wrong[:, 16, 0] += 0.017 * (np.arange(30) % 2)  # one joint of 17 in every other frame
    assert motion_errors(wrong, clip, true).mpjpe == pytest.approx(0.5)
    assert motion_errors(wrong, clip, true).acceleration == pytest.approx(2 * 17 / 17)


def test_methods_stand_between_their_input_and_the_truth() -> None:
    truth = walk(45)
    rows = compare([(lifted(truth), truth)], {"filters": {}})
    assert list(rows) == ["raw", "smoothed", "filters", "truth"]
    (raw,), (filters,), (true,) = rows["raw"], rows["filters"], rows["truth"]
    assert raw.mpjpe > filters.mpjpe > true.mpjpe == 0
    assert raw.skate > 3 * filters.skate and raw.contact == true.contact
    assert filters.bones < 1e-3 < raw.bones


def test_without_truth_errors_are_unknown_and_the_rest_is_there() -> None:
    rows = compare([(lifted(walk(30)), None), (lifted(walk(30), seed=1), None)], {})
    assert list(rows) == ["raw", "smoothed"] and len(rows["raw"]) == 2
    assert np.isnan(rows["raw"][0].mpjpe) and rows["smoothed"][0].jerk < rows["raw"][0].jerk
    lines = table_lines(rows)
    assert len(lines) == 4 and lines[2].startswith("| raw | – | – | – |")


def test_the_table_has_means_without_unknown_numbers() -> None:
    nan = float("nan")
    errors = [MotionErrors(*[1.0] * 9), MotionErrors(nan, *[2.0] * 8)]
    line = table_lines({"raw": errors})[2]
    assert line == "| raw | 1.00 |" + " 1.50 |" * (len(TITLES) - 1)


def test_a_truth_lies_in_the_axes_of_its_clip() -> None:
    truth = walk(30)
    up = np.array([0, 0.7, 0], np.float32)
    rows = compare([(replace(truth, points=truth.points + up), truth)], {})
    assert rows["raw"][0].world == pytest.approx(700, rel=1e-3)
