"""What the figures show: positions, widths, heights and order, read back from what matplotlib is going to draw."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from PIL import Image

from pplkit.data import schema
from pplkit.evaluation.memory_analysis import Prototypes
from pplkit.models.prior.pose_prior import PosePrior
from pplkit.viz import drawing
from pplkit.viz import images as plots
from pplkit.viz import prior as posters
from pplkit.viz import training as training_figures

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
FLOATS = torch.from_numpy(RNG.uniform(-1, 1, (5, 3, 32, 32)).astype(np.float32))
POSES = RNG.uniform(-0.8, 0.8, (5, 4, 2)).astype(np.float32)
LINKS = [(0, 1), (1, 2), (2, 3)]
STRENGTHS = [1.0, 0.5, 0.1]
WEIGHTS = np.array([[0, 4, 0, 0], [4, 0, 2, 0], [0, 2, 0, 0.4], [0, 0, 0.4, 0]], dtype=np.float32)
PRIOR = PosePrior(POSES[0], WEIGHTS)
LOG = [{"step": 20, "loss": 40.0, "pose": 0.2}, {"step": 40, "loss": 2.0, "pose": 0.1}]
HISTORY = [{"step": k, "keypoints": POSES[0].tolist(), "connectivity": WEIGHTS.tolist()} for k in range(0, 90, 10)]
REPORT = {
    "protocol": "h36m",
    "error": 0.05,
    "mean_pose_error": 0.08,
    "classes": {"001.Tall_Bird": {"error": 0.04, "mean_pose_error": 0.1}},
}
SHARES = np.array([[0.75, 0.25, 0.0], [0.0, 0.0, 1.0]])

FIGURES: dict[str, Callable[[], Figure]] = {
    "contact_sheet": lambda: plots.contact_sheet(IMAGES, POSES, LINKS, columns=3),
    "poses_on_images": lambda: plots.poses_on_images(IMAGES, POSES, LINKS, STRENGTHS, np.full((5, 4), 0.5)),
    "video_strips": lambda: plots.video_strips(IMAGES, np.array([7, 7, 9, 9, 9]), columns=2),
    "pose_spread": lambda: plots.pose_spread(IMAGES, POSES, LINKS),
    "pose_spread_unlabelled": lambda: plots.pose_spread(IMAGES),
    "training_batch": lambda: plots.training_batch(FLOATS, FLOATS),
    "reconstructions": lambda: plots.reconstructions(FLOATS, FLOATS, FLOATS[:, :1], FLOATS),
    "training_curves": lambda: plots.training_curves(LOG),
    "training_state": lambda: training_figures.training_state(
        LOG, POSES[0], LINKS, STRENGTHS, FLOATS, FLOATS, np.array([0.25, 1.0]), "step 1"
    ),
    "error_bars": lambda: plots.error_bars(REPORT),
    "keypoint_errors": lambda: plots.keypoint_errors("h36m", list("abcd"), np.array([1, 2, np.nan, 3]), np.ones(4)),
    "coverage_bars": lambda: plots.coverage_bars({"left_arm": 0.5, "head": 1.0}),
    "best_and_worst": lambda: plots.best_and_worst(IMAGES, POSES, POSES[::-1], LINKS),
    "prior_figure": lambda: posters.prior_figure(PRIOR),
    "prior_evolution": lambda: posters.prior_evolution(HISTORY),
    "bank_usage": lambda: posters.bank_usage(SHARES),
    "bank_effects": lambda: posters.bank_effects([1, 0], [POSES[:3], POSES[:3]], SHARES, LINKS),
    "prototypes": lambda: posters.prototypes_figure(
        Prototypes(POSES[:2], np.array([0.6, 0.4]), np.array([0, 1])), IMAGES[:2], LINKS, STRENGTHS
    ),
}


def shown(figure: Figure) -> list[Any]:
    return [axis for axis in figure.axes if axis.get_visible()]


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_saved_white_and_not_empty(name: str, tmp_path: Path) -> None:
    figure = FIGURES[name]()
    assert drawing.save(figure, tmp_path, name) is figure
    assert [path.name for path in (tmp_path / "figures").iterdir()] == [f"{name}.png"]
    with Image.open(tmp_path / "figures" / f"{name}.png") as image:
        pixels = np.asarray(image.convert("RGB"))
        assert image.size == tuple(np.round(figure.get_size_inches() * drawing.DPI).astype(int))
    assert (pixels[[0, 0, -1, -1], [0, -1, 0, -1]] == 255).all()  # white corners
    assert (pixels != 255).any(-1).mean() > 0.01
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 10


def test_a_figure_that_cannot_be_drawn_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "figures" / "a.png"
    path.parent.mkdir()
    path.write_text("old")
    figure = FIGURES["training_curves"]()
    monkeypatch.setattr(figure, "savefig", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        drawing.save(figure, tmp_path, "a")
    assert path.read_text() == "old"


def test_the_centres_of_the_first_and_last_pixel_are_at_minus_one_and_one() -> None:
    figure, axes = drawing.page(1, 1)
    drawing.picture(axes[0, 0], np.zeros((5, 5, 3), dtype=np.uint8))
    (image,) = axes[0, 0].images
    left, right, bottom, top = image.get_extent()
    assert (left, right, bottom, top) == (-1.25, 1.25, 1.25, -1.25)  # a pixel of 0.5; its centre 0.25 from the edge
    assert axes[0, 0].get_ylim() == (1.25, -1.25)  # y down
    assert axes[0, 0].get_xlim() == (-1.25, 1.25)


def test_pictures_come_as_bytes_or_floats_of_one_or_three_channels() -> None:
    assert drawing.as_uint8(IMAGES) is IMAGES
    black_white = torch.tensor([-1.0, 1.0, 0.0, 3.0]).reshape(1, 1, 2, 2)
    assert drawing.as_uint8(black_white)[0].tolist() == [[[0] * 3, [255] * 3], [[128] * 3, [255] * 3]]
    back = torch.from_numpy(IMAGES).permute(0, 3, 1, 2) / 127.5 - 1
    assert (drawing.as_uint8(back) == IMAGES).all()


def test_a_link_is_drawn_between_its_keypoints_as_wide_as_it_is_strong() -> None:
    _, axes = drawing.page(1, 1)
    points = np.array([[0.0, 0.5], [-1.0, 0.25], [1.0, -0.5]])
    drawing.skeleton(axes[0, 0], points, [(0, 1), (1, 2)], [0.2, 1.0], width=2.0)
    lines = [line for line in axes[0, 0].lines if line.get_color() != "white"]
    ends = [line.get_xydata().tolist() for line in lines]
    assert ends == [[[0.0, 0.5], [-1.0, 0.25]], [[-1.0, 0.25], [1.0, -0.5]]]  # the strongest last, on top
    assert lines[0].get_linewidth() < lines[1].get_linewidth() == 2.0
    assert lines[0].get_alpha() < lines[1].get_alpha() == 1.0
    (dots,) = axes[0, 0].collections
    assert np.allclose(dots.get_offsets(), points)


def test_an_unsure_keypoint_is_paler() -> None:
    confidence = np.array([[0.8, 0.4, 0.0, 0.8]] * 5)
    axis = shown(plots.poses_on_images(IMAGES, POSES, LINKS, STRENGTHS, confidence))[0]
    assert np.allclose(axis.collections[0].get_alpha(), [1.0, 0.625, 0.25, 1.0])


def test_a_contact_sheet_shows_each_image_once_with_its_title() -> None:
    axes = shown(plots.contact_sheet(IMAGES, titles=list("abcde"), columns=3))
    assert [axis.get_title() for axis in axes] == list("abcde")
    assert all((axis.images[0].get_array() == image).all() for axis, image in zip(axes, IMAGES, strict=True))


def test_a_video_strip_holds_the_frames_of_one_video() -> None:
    figure = plots.video_strips(IMAGES, np.array([7, 7, 9, 9, 9]), columns=4)
    frames = [axis.images[0].get_array() for axis in shown(figure)]
    assert [np.flatnonzero((frame == IMAGES).all((1, 2, 3))).tolist() for frame in frames] == [[0], [1], [2], [3], [4]]
    assert [axis.get_ylabel() for axis in shown(figure) if axis.get_ylabel()] == ["video 7", "video 9"]


def test_curves_are_logarithmic_only_where_values_fall_tenfold() -> None:
    axes = plots.training_curves(LOG).axes
    assert [(axis.get_title(loc="left"), axis.get_yscale()) for axis in axes] == [
        ("total", "log"),
        ("pose recall", "linear"),
    ]
    assert axes[0].lines[0].get_xydata().tolist() == [[20.0, 40.0], [40.0, 2.0]]


def test_the_curve_of_a_loss_that_faded_out_ends() -> None:
    rows = [{"step": 20, "loss": 3.0, "separation": 0.4}, {"step": 40, "loss": 2.0, "separation": 0.01}]
    axes = plots.training_curves([*rows, {"step": 60, "loss": 1.0}]).axes
    assert [axis.get_title(loc="left") for axis in axes] == ["total", "separation"]
    assert axes[1].get_yscale() == "log"
    np.testing.assert_array_equal(axes[1].lines[0].get_ydata(), [0.4, 0.01, np.nan])


def test_error_bars_are_in_per_cent_and_beside_the_mean_pose() -> None:
    (axis,) = plots.error_bars(REPORT).axes
    heights = [[bar.get_height() for bar in bars] for bars in axis.containers]
    assert np.allclose(heights, [[5.0, 4.0], [8.0, 10.0]])
    assert [label.get_text() for label in axis.get_xticklabels()] == ["all", "Tall\nBird"]
    assert "%" in axis.get_ylabel()


@pytest.mark.parametrize(
    ("protocol", "scale", "word"), [("taichi", 1, "pixels"), ("cub", 100, "%"), ("matching", 100, "squared")]
)
def test_each_protocol_has_its_unit(protocol: str, scale: float, word: str) -> None:
    assert schema.error_unit(protocol)[0] == scale
    assert word in schema.error_unit(protocol)[1]


def test_the_worst_keypoint_is_at_the_top_and_an_unlabelled_one_left_out() -> None:
    (axis,) = plots.keypoint_errors("h36m", ["a", "left_b", "c"], np.array([0.02, 0.05, np.nan]), np.ones(3)).axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["a", "left b"]
    assert np.allclose([bar.get_width() for bar in axis.patches], [2.0, 5.0])


def test_best_and_worst_are_sorted_by_the_error_of_the_known_points() -> None:
    labels = np.zeros((3, 2, 2))
    predictions = labels.copy()
    side = IMAGES.shape[1]
    predictions[:, 0, 0] = np.array([0.2, 0.04, 0.1]) * side / (side - 1)  # 10, 2 and 5 % of the side, in pixels
    labels[:, 1] = np.nan
    figure = plots.best_and_worst(IMAGES[:3], predictions, labels, [], count=2)
    assert [axis.get_title() for axis in figure.axes] == ["2.0 %", "5.0 %", "10.0 %", "5.0 %"]
    assert (figure.axes[0].images[0].get_array() == IMAGES[1]).all()


def test_the_prior_figure_shows_strong_links_numbers_and_all_weights() -> None:
    pose, matrix = posters.prior_figure(PRIOR).axes[:2]
    assert len([line for line in pose.lines if line.get_color() != "white"]) == 3
    assert [text.get_text() for text in pose.texts] == ["0", "1", "2", "3"]
    assert (matrix.images[0].get_array() == WEIGHTS).all()
    assert (pose.get_ylim()[0] > 1) and (pose.get_ylim()[1] < -1)  # y down
    assert pose.get_aspect() == 1


def test_the_evolution_begins_and_ends_with_the_training() -> None:
    titles = [axis.get_title() for axis in posters.prior_evolution(HISTORY, 3).axes]
    assert titles == ["step 0", "step 40", "step 80"]
    assert len(posters.prior_evolution(HISTORY[:2], 6).axes) == 2


def test_bank_usage_counts_the_vectors_that_are_used() -> None:
    heat, bars = posters.bank_usage(SHARES).axes[:2]
    assert heat.images[0].get_array().tolist() == [[75.0, 25.0, 0.0], [100.0, 0.0, 0.0]]
    assert [bar.get_width() for bar in bars.patches] == [2, 1]


def test_bank_effects_draw_only_vectors_that_are_used() -> None:
    poses = [POSES[:3], POSES[2:5]]
    first, second = posters.bank_effects([4, 7], poses, SHARES, LINKS).axes
    assert [axis.get_title() for axis in (first, second)] == ["bank 4 (2 of 3 used)", "bank 7 (1 of 3 used)"]
    drawn = sorted(np.asarray(dots.get_offsets()).tolist() for dots in first.collections)
    assert np.allclose(drawn, sorted(POSES[:2].tolist()))
    assert np.allclose(second.collections[0].get_offsets(), POSES[4])
    assert len(second.lines) == len(LINKS)


def test_the_colours_differ_from_keypoint_to_keypoint() -> None:
    assert len({tuple(colour) for colour in drawing.keypoint_colours(16)}) == 16
    assert len({to_rgba(colour) for colour in drawing.COLOURS}) == len(drawing.COLOURS)


def test_the_state_of_training_shows_each_bank_and_how_much_of_it_is_in_use() -> None:
    figure = FIGURES["training_state"]()
    (bank,) = [axis for axis in figure.axes if axis.get_ylabel() == "bank"]
    assert [bar.get_width() for bar in bank.containers[1]] == [25.0, 100.0]
    assert bank.get_ylim() == (1.6, -0.6) and "62 %" in bank.get_title()
    curves = [axis for axis in figure.axes if axis.get_title(loc="left")]
    assert [axis.get_title(loc="left") for axis in curves] == ["total loss", "pose recall"]
    assert curves[0].lines[0].get_xydata().tolist() == [[20.0, 40.0], [40.0, 2.0]]
