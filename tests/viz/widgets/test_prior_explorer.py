"""The prior explorer: what vectors, drags and the threshold do to the pose, the links and what is shown of them."""

from typing import Any

import numpy as np
import pytest
import torch

from pplkit.evaluation import memory_analysis as prototypes
from pplkit.models.prior.config import Config
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.pose_prior import PosePrior
from pplkit.viz.prior import prior_figure
from pplkit.viz.widgets.exploration import MEAN, Exploration
from pplkit.viz.widgets.prior_explorer import PriorExplorer


@pytest.fixture(scope="module")
def learned(tiny: Config) -> tuple[PosePriorLearner, prototypes.Prototypes, np.ndarray]:
    """A model whose memory has seen poses, their prototypes and how often each vector is taken."""
    torch.manual_seed(0)
    model = PosePriorLearner(tiny).eval()
    with torch.no_grad():
        upper = torch.tensor([[0, 4.0, 2, 0.1], [0, 0, 1, 0.1], [0, 0, 0, 3], [0, 0, 0, 0]])
        model.links.copy_(torch.log(torch.expm1(upper.clamp_min(1e-4))) / tiny.connectivity_scale)
    poses = np.random.default_rng(0).uniform(-0.8, 0.8, (20, 4, 2)).astype(np.float32)
    index = prototypes.taken(model, poses)
    return model, prototypes.prototypes(model, index, 3), prototypes.usage(index, tiny.vectors)


@pytest.fixture
def state(learned: Any) -> Exploration:
    return Exploration(*learned)


def test_it_begins_with_the_prior_and_comes_back_to_it(state: Exploration) -> None:
    prior = state.prior.keypoints
    assert np.allclose(state.pose, prior) and (state.chosen == MEAN).all()
    state.take(1, 2)
    assert not np.allclose(state.pose, prior)
    state.take(1, MEAN)
    assert np.allclose(state.pose, prior, atol=1e-6)
    state.drag(state.pose + 0.3)
    state.reset()
    assert np.allclose(state.pose, prior) and (state.chosen == MEAN).all()


def test_a_vector_takes_the_place_of_the_mean_of_its_bank(state: Exploration) -> None:
    state.take(1, 2)
    assert np.allclose(state.pose, prototypes.bank_poses(state.model, 1)[2], atol=1e-6)
    state.take(0, 3)
    memory = state.model.memory
    with torch.no_grad():
        tokens = torch.stack((memory.codebook[0, 3], memory.codebook[1, 2], memory.codebook[2].mean(0)))
        assert np.allclose(state.pose, memory.decode(tokens[None])[0], atol=1e-6)


def test_a_dragged_pose_takes_the_vectors_that_the_memory_finds_for_it(state: Exploration) -> None:
    pose = state.pose.copy()
    pose[2] = (0.9, -0.4)
    state.drag(pose)
    with torch.no_grad():
        recall = state.model.memory(torch.tensor(pose, dtype=torch.float32)[None])
    assert (state.pose == pose).all()
    assert state.chosen.tolist() == recall.assignments[0].tolist()
    assert np.allclose(state.recalled(), recall.keypoints[0], atol=1e-6)
    answer = state.recalled()
    state.take(0, int(state.chosen[0]))  # the same vectors as before: the pose is now what the memory makes of it
    assert np.allclose(state.pose, answer, atol=1e-6) and not np.allclose(state.pose, pose)


def test_distances_are_root_mean_squares_in_image_sides(state: Exploration) -> None:
    assert state.away(state.pose + [0.3, 0.4]) == pytest.approx(0.5 * 31 / 64)
    moved = state.pose.copy()
    moved[0] += [0.3, 0.4]
    assert state.away(moved) == pytest.approx(0.5 / 2 * 31 / 64)


def test_the_nearest_prototype_is_named(state: Exploration) -> None:
    for number in range(len(state.kept.shares)):
        state.drag(state.kept.keypoints[number])
        assert state.nearest() == number
        assert state.said()[1].startswith(f"nearest prototype: {number + 1} of {len(state.kept.shares)}")
        assert state.said()[1].endswith(", 0.0 % away")


def test_the_threshold_takes_links_from_the_skeleton_the_map_and_the_matrix(state: Exploration) -> None:
    assert state.links()[0] == [(0, 1), (2, 3), (0, 2), (1, 2)]
    before = state.link_map()
    state.share = 0.5
    links, strengths = state.links()
    assert links == [(0, 1), (2, 3), (0, 2)] and np.allclose(strengths, [1, 0.75, 0.5], atol=1e-3)
    state.share = 0.6
    assert (state.link_map() != before).any() and state.link_map().max() == 255
    matrix = state.weights().axes[0].images[0].get_array()
    assert matrix.mask.tolist() == [[True, False, True, True], [False, True, True, True]] + [
        [True, True, True, False],
        [True, True, False, True],
    ]


def test_a_matrix_without_threshold_shows_all_weights() -> None:
    weights = np.array([[0, 2], [2, 0]], np.float32)
    matrix = prior_figure(PosePrior(np.zeros((2, 2), np.float32), weights)).axes[1].images[0].get_array()
    assert not np.ma.getmaskarray(matrix).any()


def test_the_farthest_bank_is_the_one_that_moves_the_prior_most(state: Exploration) -> None:
    reach = [
        prototypes.bank_reach(prototypes.bank_poses(state.model, bank), state.usage[bank])
        for bank in range(len(state.usage))
    ]
    assert reach[state.farthest_bank()] == max(reach) > min(reach)


def test_where_nobody_is_a_picture_shows_pose_map_prototype_and_matrix(learned: Any) -> None:
    explorer = PriorExplorer(*learned)
    content = explorer._repr_mimebundle_(include=None, exclude=None)
    assert list(content) == ["text/plain", "image/png"]
    axes = explorer.state.figure().axes
    titles = [axis.get_title() for axis in axes]
    assert titles[0].startswith("pose") and titles[1:3] == ["link map", "nearest prototype"]


def test_the_widget_shows_what_is_done_to_it(learned: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pplkit.viz.widgets.prior_explorer.attended", lambda: True)
    explorer = PriorExplorer(*learned)
    assert "application/vnd.jupyter.widget-view+json" in explorer._repr_mimebundle_()
    panel, state = explorer._panel, explorer.state
    assert panel is not None and panel.bank.value == state.farthest_bank()
    points, heat, matrix = panel.pose.points, panel.heat.picture, panel.weights.value
    assert np.allclose(points, state.prior.keypoints) and panel.vector.value == MEAN
    panel.vector.value = 2
    assert np.allclose(panel.pose.points, prototypes.bank_poses(state.model, panel.bank.value)[2], atol=1e-6)
    assert panel.pose.points != points and panel.heat.picture != heat and panel.weights.value == matrix
    assert np.allclose(panel.pose.others, state.recalled())
    panel.share.value = 0.6
    assert [link[:2] for link in panel.pose.links] == [[0, 1], [2, 3]] and panel.weights.value != matrix
    bank = (panel.bank.value + 1) % 3
    pose = panel.pose.points
    panel.bank.value = bank  # looking at another bank changes nothing
    assert panel.pose.points == pose and panel.vector.value == MEAN
    panel.pose.points = [[0.0, 0.0], *panel.pose.points[1:]]
    panel.pose.moved += 1  # what the front end tells after a drag
    assert state.pose[0].tolist() == [0, 0] and panel.vector.value == state.chosen[bank] != MEAN
