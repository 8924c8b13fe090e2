"""Figures of the prior and the memory, read back from what matplotlib is going to draw."""

from xml.etree import ElementTree

import numpy as np

from pplkit import viz
from pplkit.evaluation.memory_analysis import Prototypes
from pplkit.models.prior.pose_prior import PosePrior
from pplkit.viz.drawing import image_bytes

POSES = np.random.default_rng(0).uniform(-0.8, 0.8, (5, 4, 2)).astype(np.float32)
LINKS = [(0, 1), (1, 2), (2, 3)]
WEIGHTS = np.array([[0, 4, 0, 0], [4, 0, 2, 0], [0, 2, 0, 0.4], [0, 0, 0.4, 0]], dtype=np.float32)
PRIOR = PosePrior(POSES[0], WEIGHTS)
USAGE = np.array([[0.75, 0.25, 0.0], [0.0, 0.0, 1.0]])


def test_the_prior_figure_shows_strong_links_numbers_and_all_weights() -> None:
    pose, matrix = viz.prior_figure(PRIOR).axes[:2]
    assert len([line for line in pose.lines if line.get_color() != "white"]) == 3
    assert [text.get_text() for text in pose.texts] == ["0", "1", "2", "3"]
    weights = matrix.images[0].get_array()
    assert (weights == WEIGHTS).all() and not np.ma.getmaskarray(weights).any()
    assert pose.get_ylim()[0] > 1 and pose.get_ylim()[1] < -1 and pose.get_aspect() == 1  # y down


def test_the_drawing_alone_is_an_svg_without_a_date() -> None:
    figure = viz.prior_figure(PRIOR, weights=False)
    assert len(figure.axes) == 1
    svg = image_bytes(figure, "svg")
    root = ElementTree.fromstring(svg)
    assert root.tag.endswith("svg") and b"dc:date" not in svg


def test_the_evolution_begins_and_ends_with_the_training() -> None:
    history = [{"step": k, "keypoints": POSES[0].tolist(), "connectivity": WEIGHTS.tolist()} for k in range(0, 90, 10)]
    assert [axis.get_title() for axis in viz.prior_evolution(history, 3).axes] == ["step 0", "step 40", "step 80"]
    assert len(viz.prior_evolution(history[:2], 6).axes) == 2


def test_bank_usage_counts_the_vectors_that_are_used() -> None:
    heat, bars = viz.bank_usage(USAGE).axes[:2]
    assert heat.images[0].get_array().tolist() == [[75.0, 25.0, 0.0], [100.0, 0.0, 0.0]]
    assert [bar.get_width() for bar in bars.patches] == [2, 1]


def test_bank_effects_draw_only_vectors_that_are_used() -> None:
    first, second = viz.bank_effects([4, 7], [POSES[:3], POSES[2:5]], USAGE, LINKS).axes
    assert [axis.get_title() for axis in (first, second)] == ["bank 4 (2 of 3 used)", "bank 7 (1 of 3 used)"]
    drawn = sorted(np.asarray(dots.get_offsets()).tolist() for dots in first.collections)
    assert np.allclose(drawn, sorted(POSES[:2].tolist()))
    assert np.allclose(second.collections[0].get_offsets(), POSES[4]) and len(second.lines) == len(LINKS)


def test_a_prototype_stands_above_its_image() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    typical = Prototypes(POSES[:2], np.array([0.6, 0.4]), np.array([0, 1]))
    axes = viz.prototypes_figure(typical, images, LINKS, [1.0, 0.5, 0.1]).axes
    assert [axis.get_title() for axis in axes[:2]] == ["60 %", "40 %"]
    assert np.allclose(axes[1].collections[0].get_offsets(), POSES[1])
    assert (axes[3].images[0].get_array() == images[1]).all()
