"""What the figures of the occlusion experiment show, read back from what matplotlib is going to draw."""

from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes

from pplkit import viz
from pplkit.evaluation.memory_analysis import Prototypes
from pplkit.models.prior.outputs import Iteration, Poses

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
FLOATS = torch.from_numpy(RNG.uniform(-1, 1, (3, 3, 32, 32)).astype(np.float32))
POSES = RNG.uniform(-0.8, 0.8, (3, 4, 2)).astype(np.float32)
LINKS = [(0, 1), (1, 2), (2, 3)]
ROUND = Iteration(FLOATS, Poses(torch.from_numpy(POSES), torch.ones(3, 4)), torch.from_numpy(POSES), FLOATS)
TYPICAL = Prototypes(POSES[[2, 0]], np.array([0.75, 0.25]), np.array([2, 0]))


def row(kind: str, amount: float, procedure: str, iteration: int, error: float) -> dict[str, Any]:
    hidden = None if kind == "none" else [2 * error, 1.5 * error, 3 * error]
    place = {"kind": kind, "amount": amount, "procedure": procedure, "iteration": iteration}
    around = [error, 0.9 * error, 1.2 * error]
    return {**place, "error": error, "all": around, "hidden": hidden, "visible": around}


SETTINGS = [("none", 0.0, 0.03), ("center", 4, 0.04), ("center", 8, 0.06), ("random", 0.1, 0.15)]
BINS: list[dict[str, float]] = [{"sure": 0.1 * k, "away": 0.1 - 0.01 * k, "hidden": 0.5} for k in range(8)]
REPORT: dict[str, Any] = {
    "measure": "error of protocol h36m",
    "iterations": 1,
    "rows": [
        row(kind, amount, way, number, error + (0.0008 * amount - 0.005) * number + 0.01 * (way == "published"))
        for way in ("published", "completed")
        for kind, amount, error in SETTINGS
        for number in (0, 1)
    ],
    "confidence": {
        "published": {"calibration": BINS},
        "completed": {"calibration": [{**part, "expected": 2 * part["away"]} for part in BINS]},
    },
}


def labels(axis: Axes) -> tuple[str, str]:
    return axis.get_xlabel(), axis.get_ylabel()


def lines(axis: Axes) -> dict[str, np.ndarray]:
    """Points of the labelled lines and bars by label."""
    handles, names = axis.get_legend_handles_labels()
    ends = [handle[0] if isinstance(handle, tuple) else handle for handle in handles]
    return {name: line.get_xydata() for name, line in zip(names, ends, strict=True)}


def test_curves_start_at_iteration_0_and_are_in_per_cent() -> None:
    figure = viz.occlusion_curves(REPORT)
    center, random = figure.axes
    result = lines(center)
    # 0.01 above the completed rows; the second round adds 0.0008 for each patch and takes 0.005
    np.testing.assert_allclose(result["4"], [[0, 5.0], [1, 5.0 + 0.32 - 0.5]])
    np.testing.assert_allclose(result["8"], [[0, 7.0], [1, 7.0 + 0.64 - 0.5]])
    assert np.allclose(result["nothing"][:, 1], 4.0)
    assert center.lines[-1].get_linestyle() == "--" and len(random.lines) == 2
    assert [text.get_text() for text in center.get_legend().get_texts()] == ["8", "4", "nothing"]  # as the lines end
    assert labels(center)[0] == labels(random)[0] == "iteration"
    assert "%" in labels(center)[1] and labels(random)[1] == ""
    assert center.get_title(loc="left") == "center hidden (patches)"
    assert random.get_title(loc="left") == "patches hidden (fraction)"
    np.testing.assert_allclose(lines(viz.occlusion_curves(REPORT, "completed").axes[0])["4"][0], [0, 4.0])


def test_curves_without_labels_are_distances() -> None:
    report = {**REPORT, "measure": "distance to the pose of the complete image"}
    center = viz.occlusion_curves(report).axes[0]
    assert labels(center)[1] == "distance (% of the image side)"
    np.testing.assert_allclose(lines(center)["4"][0], [0, 5.0])


def test_amounts_compare_the_ways_of_finding_a_pose() -> None:
    axes = viz.occlusion_amounts(REPORT).axes
    assert len(axes) == 4
    results = [lines(axis) for axis in axes]
    ways = {"a single pass", "published, last round", "completed", "completed, told what is hidden"}
    assert all(set(each) == ways for each in results)
    np.testing.assert_allclose(results[0]["a single pass"], [[4, 5.0], [8, 7.0]])
    np.testing.assert_allclose(results[0]["completed"], [[4, 4.0], [8, 6.0]])
    np.testing.assert_allclose(results[2]["completed"], [[4, 8.0], [8, 12.0]])  # hidden labels: twice as much
    bars = axes[0].containers[0].lines[2][0].get_segments()[0]
    np.testing.assert_allclose(bars, [[4, 4.5], [4, 6.0]])  # 0.9 to 1.2 times the mean
    assert labels(axes[0]) == ("center hidden (patches)", "all labels\n(% of the image side)")
    assert labels(axes[2])[1] == "hidden labels\n(% of the image side)" and labels(axes[1])[1] == ""
    for row, factor in ((axes[:2], 1), (axes[2:], 2)):  # every point of a row is to be seen, 0 as well
        for axis in row:
            bottom, top = axis.get_ylim()
            assert bottom == 0 and top > factor * max(100 * one["error"] for one in REPORT["rows"])
    alone = {**REPORT, "rows": [one for one in REPORT["rows"] if one["procedure"] == "published"]}
    assert set(lines(viz.occlusion_amounts(alone).axes[0])) == {"a single pass", "published, last round"}


def test_the_calibration_is_drawn_for_each_procedure() -> None:
    away, hidden, expected = viz.confidence_figure(REPORT).axes
    assert set(lines(away)) == set(lines(hidden)) == {"published", "completed"} and set(lines(expected)) == {
        "completed"
    }
    np.testing.assert_allclose(lines(away)["published"][[0, -1]], [[0, 10.0], [0.7, 3.0]])
    np.testing.assert_allclose(lines(expected)["completed"][0], [20.0, 10.0])
    assert labels(away) == ("confidence", "distance from the complete pose\n(% of the image side)")
    assert labels(hidden) == ("confidence", "fraction hidden")
    assert labels(expected) == ("expected distance (%)", "distance (%)")


def test_rounds_show_input_pose_and_reconstruction_of_every_round() -> None:
    figure = viz.occlusion_rounds(IMAGES[:2], [ROUND] * 3, LINKS)
    titles = [axis.get_title() for axis in figure.axes[:8]]
    assert titles == ["complete", "given", "pose 0", "decoded 0", "pose 1", "decoded 1", "pose 2", "decoded 2"]
    assert len(figure.axes) == 16
    assert np.allclose(figure.axes[10].collections[0].get_offsets(), POSES[1])  # second image, round 0


def test_a_pose_stands_above_its_reconstruction_and_prototype() -> None:
    figure = viz.memory_attraction(IMAGES, POSES, POSES[::-1], TYPICAL, LINKS)
    rows = np.array(figure.axes).reshape(3, 3)
    for n in range(3):
        assert np.allclose(rows[0, n].collections[0].get_offsets(), POSES[n])
        assert np.allclose(rows[1, n].collections[0].get_offsets(), POSES[2 - n])
    assert [axis.get_title() for axis in rows[:, 0]] == ["pose", "reconstruction", "prototype 2: 25%"]
    assert rows[2, 2].get_title() == "prototype 1: 75%"
    assert np.allclose(rows[2, 2].collections[0].get_offsets(), POSES[2])
