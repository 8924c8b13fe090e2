"""Figures of a training, read back from what matplotlib is going to draw."""

import numpy as np
import torch

from pplkit import viz

LOG = [{"step": 20, "loss": 40.0, "pose": 0.2}, {"step": 40, "loss": 2.0, "pose": 0.1}]
FLOATS = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_curves_are_logarithmic_only_where_values_fall_tenfold() -> None:
    axes = viz.training_curves(LOG).axes
    scales = {axis.get_title(loc="left"): axis.get_yscale() for axis in axes}
    assert scales == {"total": "log", "pose recall": "linear"}
    assert axes[0].lines[0].get_xydata().tolist() == [[20.0, 40.0], [40.0, 2.0]]


def test_the_curve_of_a_loss_that_faded_out_ends() -> None:
    rows = [{"step": 20, "loss": 3.0, "separation": 0.4}, {"step": 40, "loss": 2.0, "separation": 0.01}]
    axes = viz.training_curves([*rows, {"step": 60, "loss": 1.0}]).axes
    assert [axis.get_title(loc="left") for axis in axes] == ["total", "separation"]
    assert axes[1].get_yscale() == "log"
    np.testing.assert_array_equal(axes[1].lines[0].get_ydata(), [0.4, 0.01, np.nan])


def test_a_link_map_is_scaled_to_its_own_maximum() -> None:
    figure = viz.reconstructions(FLOATS, FLOATS, torch.full((3, 1, 32, 32), 1e-3), FLOATS, columns=2)
    assert [axis.get_ylabel() for axis in figure.axes[::2]] == ["image", "reference", "link map", "reconstruction"]
    assert (figure.axes[4].images[0].get_array() == 255).all()


def test_the_state_of_training_shows_the_codebook_usage_of_each_bank() -> None:
    points = np.zeros((2, 2))
    figure = viz.training_state(LOG, points, [(0, 1)], [1.0], FLOATS, FLOATS, np.array([0.25, 1.0]), "step 1")
    (bank,) = [axis for axis in figure.axes if axis.get_ylabel() == "bank"]
    assert [bar.get_width() for bar in bank.containers[1]] == [25.0, 100.0]
    assert bank.get_ylim() == (1.6, -0.6) and bank.get_title() == "codebook usage: 62 %"
    curves = [axis for axis in figure.axes if axis.get_title(loc="left")]
    assert [axis.get_title(loc="left") for axis in curves] == ["total loss", "pose recall"]
    assert curves[0].lines[0].get_xydata().tolist() == [[20.0, 40.0], [40.0, 2.0]]
