"""The prior explorer: what vectors, drags and the threshold do to the pose, the links and the figures."""

from typing import Any

import numpy as np
import pytest
import torch

from pplkit.evaluation import memory_analysis
from pplkit.evaluation.memory_analysis import Prototypes
from pplkit.models.prior.config import Config
from pplkit.models.prior.model import PosePriorLearner
from pplkit.viz.widgets.prior_explorer import MEAN, PriorExplorer


@pytest.fixture(scope="module")
def learned(tiny: Config) -> tuple[PosePriorLearner, Prototypes, np.ndarray]:
    """A model, the prototypes of some poses and the codebook usage."""
    torch.manual_seed(0)
    model = PosePriorLearner(tiny).eval()
    with torch.no_grad():
        upper = torch.tensor([[0, 4.0, 2, 0.1], [0, 0, 1, 0.1], [0, 0, 0, 3], [0, 0, 0, 0]])
        model.links.copy_(torch.log(torch.expm1(upper.clamp_min(1e-4))) / tiny.connectivity_scale)
    poses = np.random.default_rng(0).uniform(-0.8, 0.8, (20, 4, 2)).astype(np.float32)
    index = memory_analysis.assign(model, poses)
    return model, memory_analysis.prototypes(model, index, 3), memory_analysis.codebook_usage(index, tiny.vectors)


@pytest.fixture
def explorer(learned: Any) -> PriorExplorer:
    return PriorExplorer(*learned)


def test_it_begins_with_the_prior_and_comes_back_to_it(explorer: PriorExplorer) -> None:
    prior = explorer.prior.keypoints
    assert np.allclose(explorer.pose, prior) and (explorer.assigned == MEAN).all()
    explorer.select(1, 2)
    assert not np.allclose(explorer.pose, prior)
    explorer.select(1, MEAN)
    assert np.allclose(explorer.pose, prior, atol=1e-6)
    explorer.move(explorer.pose + 0.3)
    explorer.reset()
    assert np.allclose(explorer.pose, prior) and (explorer.assigned == MEAN).all()


def test_a_vector_takes_the_place_of_the_mean_of_its_bank(explorer: PriorExplorer) -> None:
    explorer.select(1, 2)
    assert np.allclose(explorer.pose, memory_analysis.bank_poses(explorer.model, 1)[2], atol=1e-6)
    explorer.select(0, 3)
    memory = explorer.model.memory
    with torch.no_grad():
        tokens = torch.stack((memory.codebook[0, 3], memory.codebook[1, 2], memory.codebook[2].mean(0)))
        assert np.allclose(explorer.pose, memory.decode(tokens[None])[0], atol=1e-6)


def test_a_moved_pose_is_assigned_the_memorys_vectors(explorer: PriorExplorer) -> None:
    pose = explorer.pose.copy()
    pose[2] = (0.9, -0.4)
    explorer.move(pose)
    assert (explorer.pose == pose).all()
    assert (explorer.assigned == memory_analysis.assign(explorer.model, pose[None].astype(np.float32))[0]).all()
    reconstruction = explorer.reconstruction()
    explorer.select(0, int(explorer.assigned[0]))  # the same vectors as before: the pose is now their reconstruction
    assert np.allclose(explorer.pose, reconstruction, atol=1e-6) and not np.allclose(explorer.pose, pose)


def test_distances_are_root_mean_squares_in_image_sides(explorer: PriorExplorer) -> None:
    assert explorer.distance_to(explorer.pose + [0.3, 0.4]) == pytest.approx(0.5 * 31 / 64)
    moved = explorer.pose.copy()
    moved[0] += [0.3, 0.4]
    assert explorer.distance_to(moved) == pytest.approx(0.5 / 2 * 31 / 64)


def test_the_nearest_prototype_is_named(explorer: PriorExplorer) -> None:
    count = len(explorer.typical.fractions)
    for number in range(count):
        explorer.move(explorer.typical.keypoints[number])
        caption = explorer.captions()[1]
        assert caption.startswith(f"nearest prototype: {number + 1} of {count}") and caption.endswith(", 0.0 % away")


def test_the_threshold_takes_links_from_the_skeleton_the_map_and_the_matrix(explorer: PriorExplorer) -> None:
    assert explorer.links()[0] == [(0, 1), (2, 3), (0, 2), (1, 2)]
    before = explorer.link_map()
    explorer.threshold = 0.5
    links, strengths = explorer.links()
    assert links == [(0, 1), (2, 3), (0, 2)] and np.allclose(strengths, [1, 0.75, 0.5], atol=1e-3)
    explorer.threshold = 0.6
    assert (explorer.link_map() != before).any() and explorer.link_map().max() == 255
    matrix = explorer.weights().axes[0].images[0].get_array()
    assert np.argwhere(~matrix.mask).tolist() == [[0, 1], [1, 0], [2, 3], [3, 2]]


def test_the_farthest_bank_is_the_one_that_moves_the_prior_most(explorer: PriorExplorer) -> None:
    poses = [memory_analysis.bank_poses(explorer.model, bank) for bank in range(len(explorer.usage))]
    reach = [memory_analysis.bank_reach(*bank) for bank in zip(poses, explorer.usage, strict=True)]
    assert reach[explorer.farthest_bank()] == max(reach) > min(reach)


def test_unattended_it_is_a_figure_of_pose_map_prototype_and_matrix(explorer: PriorExplorer) -> None:
    assert list(explorer._repr_mimebundle_(include=None, exclude=None)) == ["text/plain", "image/png"]
    titles = [axis.get_title() for axis in explorer.figure().axes]
    assert titles[0].startswith("pose") and titles[1:3] == ["link map", "nearest prototype"]


def test_the_widget_shows_what_is_done_to_it(explorer: PriorExplorer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pplkit.viz.widgets.prior_explorer.attended", lambda: True)
    assert "application/vnd.jupyter.widget-view+json" in explorer._repr_mimebundle_()
    panel = explorer._panel
    assert panel is not None and panel.bank.value == explorer.farthest_bank()
    points, heat, matrix = panel.pose.points, panel.heat.image, panel.weights.value
    assert np.allclose(points, explorer.prior.keypoints) and panel.vector.value == MEAN
    panel.vector.value = 2
    assert np.allclose(panel.pose.points, memory_analysis.bank_poses(explorer.model, panel.bank.value)[2], atol=1e-6)
    assert panel.pose.points != points and panel.heat.image != heat and panel.weights.value == matrix
    assert np.allclose(panel.pose.second_pose, explorer.reconstruction())
    panel.threshold.value = 0.6
    assert [link[:2] for link in panel.pose.links] == [[0, 1], [2, 3]] and panel.weights.value != matrix
    bank = (panel.bank.value + 1) % 3
    pose = panel.pose.points
    panel.bank.value = bank  # looking at another bank changes nothing
    assert panel.pose.points == pose and panel.vector.value == MEAN
    panel.pose.points = [[0.0, 0.0], *panel.pose.points[1:]]
    panel.pose.moved += 1  # as the front end reports a drag
    assert explorer.pose[0].tolist() == [0, 0] and panel.vector.value == explorer.assigned[bank] != MEAN
