"""The procedure of a model, what the completer gets, and what is reconstructed from its poses."""

from typing import Any

import numpy as np
import pytest
import torch
from conftest import with_completer
from torch import Tensor

from pplkit.core.errors import PplkitError
from pplkit.models.prior.config import Config
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.networks import Completer

PICTURES = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
HIDDEN = np.zeros((3, 32, 32), bool)
HIDDEN[:, 8:20, 4:24] = True


@pytest.fixture(scope="module")
def plain(tiny: Config) -> PosePriorLearner:
    torch.manual_seed(0)
    return PosePriorLearner(tiny).eval()


@pytest.fixture(scope="module")
def model(tiny: Config) -> PosePriorLearner:
    """The same weights with a completer that answers differently."""
    torch.manual_seed(0)
    made = PosePriorLearner(tiny)
    return with_completer(made)


def same(a: Any, b: Any) -> bool:
    return torch.equal(a.keypoints, b.keypoints) and torch.equal(a.confidence, b.confidence)


def test_without_a_completer_there_is_one_procedure(plain: PosePriorLearner) -> None:
    assert plain.procedure() == plain.procedure("published") == "published"
    result = plain.estimate(PICTURES)
    assert result.distance is None and result.hidden is None
    assert same(result, plain.estimate(PICTURES, procedure="published"))
    with pytest.raises(PplkitError, match="procedure='completed' needs a completer: call pplkit.complete"):
        plain.estimate(PICTURES, procedure="completed")
    with pytest.raises(PplkitError, match="needs a completer"):
        plain.estimate(PICTURES, hidden=HIDDEN)


def test_unknown_procedures_and_masks_that_do_not_fit_are_refused(model: PosePriorLearner) -> None:
    with pytest.raises(PplkitError, match="procedure='both' is unknown: choose one of completed, published"):
        model.estimate(PICTURES, procedure="both")
    for mask in (HIDDEN[0], HIDDEN[:2]):
        with pytest.raises(PplkitError, match="hidden of shape .* does not fit: give bool"):
            model.estimate(PICTURES, 1, hidden=mask)


def test_the_procedure_unless_told_otherwise(plain: PosePriorLearner, model: PosePriorLearner) -> None:
    """Completed, but for rounds that are not told what is hidden."""
    completed, published = (model.estimate(PICTURES, procedure=name) for name in ("completed", "published"))
    assert completed.distance is not None and completed.hidden is not None
    assert completed.distance.shape == completed.hidden.shape == completed.confidence.shape == (3, 4)
    assert (completed.keypoints - published.keypoints).abs().mean() > 0.01
    assert same(published, plain.estimate(PICTURES))  # the completer changes nothing else
    assert same(model.estimate(PICTURES), completed)
    assert same(model.estimate(PICTURES, 2), plain.estimate(PICTURES, 2))
    with_mask = model.estimate(PICTURES, 2, hidden=HIDDEN)
    assert same(with_mask, model.estimate(PICTURES, 2, procedure="completed", hidden=HIDDEN))
    assert with_mask.distance is not None and not same(with_mask, completed)
    wanted = model.estimate(PICTURES, 2, procedure="published", hidden=HIDDEN)
    assert same(wanted, plain.estimate(PICTURES, 2))


def test_from_round_one_the_completer_sees_grey_where_something_is_hidden(model: PosePriorLearner) -> None:
    images = model.prepare(PICTURES)
    where = torch.from_numpy(HIDDEN)[:, None].expand(-1, 3, -1, -1)
    rounds = model.iterate(images, 3, procedure="completed", hidden=torch.from_numpy(HIDDEN))
    assert torch.equal(rounds[0].images, images) and same(rounds[0].poses, model.estimate(PICTURES))
    grey = images.clone()
    grey[where] = 0
    assert (grey - images).abs().mean() > 0.01
    of_grey = model.estimate(grey)
    for one in rounds[1:]:
        assert torch.equal(one.images, grey) and same(one.poses, of_grey)
    for iterations in (0, 1, 4):
        assert same(model.estimate(PICTURES, iterations, hidden=HIDDEN), of_grey)


def test_a_completed_pose_is_painted_into_what_is_hidden_alone(model: PosePriorLearner) -> None:
    images = model.prepare(PICTURES)
    where = torch.from_numpy(HIDDEN)[:, None].expand(-1, 3, -1, -1)
    rounds = model.iterate(images, 3, procedure="completed", hidden=torch.from_numpy(HIDDEN))
    assert len(rounds) == 4
    for now in rounds:
        reconstruction, decoded = now.reconstruction, now.decoded_pose
        assert reconstruction is not None and decoded is not None
        assert torch.equal(decoded, now.poses.keypoints)
        with torch.no_grad():
            expected: Tensor = model.decode(decoded, images)[1]
        torch.testing.assert_close(reconstruction[where], expected[where])
        assert torch.equal(reconstruction[~where], images[~where])
        assert (reconstruction[where] - images[where]).abs().mean() > 0.01


def test_without_knowing_what_is_hidden_completed_rounds_change_nothing(model: PosePriorLearner) -> None:
    images = model.prepare(PICTURES)
    rounds = model.iterate(images, 2, procedure="completed")
    for one in rounds:
        assert same(one.poses, rounds[0].poses) and torch.equal(one.images, images)
    assert same(model.estimate(PICTURES, 2, procedure="completed"), model.estimate(PICTURES))


def test_a_mask_of_another_size_and_kind_means_the_same(model: PosePriorLearner) -> None:
    expected = model.estimate(PICTURES, 1, hidden=HIDDEN)
    for mask in (HIDDEN.repeat(2, 1).repeat(2, 2), torch.from_numpy(HIDDEN), HIDDEN.astype(np.uint8)):
        assert same(model.estimate(PICTURES, 1, hidden=mask), expected)
    for wrong, sentence in ((HIDDEN.tolist(), "of type list"), (2.0 * HIDDEN, "other values than 0 and 1")):
        with pytest.raises(PplkitError, match=f"hidden .*{sentence}"):
            model.estimate(PICTURES, hidden=wrong)
    parts = model.estimate(PICTURES, 1, batch_size=2, hidden=HIDDEN)
    torch.testing.assert_close(parts.keypoints, expected.keypoints, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("changes", [{"regression": "free"}, {"regression": "attention"}, {}])
def test_an_unchanged_completer_finds_what_the_regressor_finds(tiny: Config, changes: dict[str, str]) -> None:
    made = PosePriorLearner(tiny.replace(**changes))
    made.completer = Completer(made.regressor)
    actual, expected = (made.eval().estimate(PICTURES, procedure=name) for name in ("completed", "published"))
    torch.testing.assert_close(actual.keypoints, expected.keypoints, atol=1e-6, rtol=1e-6)
    assert all(
        p.data_ptr() != q.data_ptr()
        for p, q in zip(made.completer.regressor.parameters(), made.regressor.parameters(), strict=True)
    )
