"""What figures are drawn with: coordinates, colors, skeletons, and files that are whole and reproducible."""

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from pplkit.models.prior.pose_prior import PosePrior
from pplkit.viz import drawing

POINTS = np.array([[0.0, 0.5], [-1.0, 0.25], [1.0, -0.5]])


def line_figure() -> Figure:
    figure, axes = drawing.subplots(1, 1)
    axes[0, 0].plot([0, 1])
    return figure


def test_a_figure_that_cannot_be_drawn_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = line_figure()
    assert drawing.save(figure, tmp_path, "a") is figure
    before = (tmp_path / "figures" / "a.png").read_bytes()
    monkeypatch.setattr(figure, "savefig", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        drawing.save(figure, tmp_path, "a")
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["a.png"]
    assert (tmp_path / "figures" / "a.png").read_bytes() == before


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_equal_figures_give_equal_files(kind: str) -> None:
    assert drawing.image_bytes(line_figure(), kind) == drawing.image_bytes(line_figure(), kind)


def test_the_centers_of_the_first_and_last_pixel_are_at_minus_one_and_one() -> None:
    figure, axes = drawing.subplots(1, 1)
    drawing.draw_image(axes[0, 0], np.zeros((5, 5, 3), dtype=np.uint8))
    (image,) = axes[0, 0].images
    assert tuple(image.get_extent()) == (-1.25, 1.25, 1.25, -1.25)  # a pixel of 0.5; its center 0.25 from the edge
    assert (axes[0, 0].get_xlim(), axes[0, 0].get_ylim()) == ((-1.25, 1.25), (1.25, -1.25))  # y down


def test_images_come_as_bytes_or_floats_of_one_or_three_channels() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)
    assert drawing.as_uint8(images) is images
    one_channel = torch.tensor([-1.0, 1.0, 0.0, 3.0]).reshape(1, 1, 2, 2)
    assert drawing.as_uint8(one_channel)[0].tolist() == [[[0] * 3, [255] * 3], [[128] * 3, [255] * 3]]
    assert (drawing.as_uint8(torch.from_numpy(images).permute(0, 3, 1, 2) / 127.5 - 1) == images).all()


def test_a_link_is_drawn_between_its_keypoints_as_wide_as_it_is_strong() -> None:
    _, axes = drawing.subplots(1, 1)
    drawing.draw_skeleton(axes[0, 0], POINTS, [(0, 1), (1, 2)], [0.2, 1.0], width=2.0)
    weak, strong = (line for line in axes[0, 0].lines if line.get_color() != "white")
    assert weak.get_xydata().tolist() == [[0.0, 0.5], [-1.0, 0.25]]
    assert strong.get_xydata().tolist() == [[-1.0, 0.25], [1.0, -0.5]]  # the strongest last, on top
    assert weak.get_linewidth() < strong.get_linewidth() == 2.0 and weak.get_alpha() < strong.get_alpha() == 1.0
    (dots,) = axes[0, 0].collections
    assert np.allclose(dots.get_offsets(), POINTS)


def test_strong_links_and_those_above_a_threshold() -> None:
    weights = np.array([[0, 4, 0.4], [4, 0, 2], [0.4, 2, 0]], np.float32)
    prior = PosePrior(POINTS.astype(np.float32), weights)
    assert drawing.strong_links(prior, 0.5) == ([(0, 1), (1, 2)], [1.0, 0.5])
    assert drawing.strong_links(prior)[0] == prior.links()


def test_colors_differ() -> None:
    assert len({tuple(color) for color in drawing.keypoint_colors(16)}) == 16
    assert len({to_rgba(color) for color in drawing.COLORS}) == len(drawing.COLORS)


def test_labels_are_cut_and_no_formulas() -> None:
    assert drawing.label_text("a$b$") == r"a\$b\$" and drawing.label_text("x" * 99) == "x" * 59 + "…"
