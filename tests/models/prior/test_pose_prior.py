"""The pose prior as an object: strong links, saving, and files that are no priors."""

from pathlib import Path

import numpy as np
import pytest

from pplkit.core.errors import PplkitError
from pplkit.models.prior.pose_prior import PosePrior


def prior() -> PosePrior:
    weights = np.zeros((4, 4), dtype=np.float32)
    for (i, j), weight in {(0, 1): 1.0, (0, 2): 4.0, (1, 3): 0.2, (2, 3): 0.19}.items():
        weights[i, j] = weights[j, i] = weight
    keypoints = np.array([[-1, 0.5], [1 / 3, 0.25], [0, 0], [0.1, -0.9]], dtype=np.float32)
    return PosePrior(keypoints, weights, {"run": "puppets", "step": 3})


def test_strong_links_by_hand() -> None:
    """The strongest weighs 4: 0.2 is exactly the 5 % that count as strong, 0.19 is less."""
    assert prior().links() == [(0, 2), (0, 1), (1, 3)]
    assert prior().links(0.25) == [(0, 2), (0, 1)]
    assert prior().links(0.26) == [(0, 2)]
    assert prior().links(0) == [(0, 2), (0, 1), (1, 3), (2, 3)]  # never those without any weight


def test_no_weights_no_links() -> None:
    assert PosePrior(np.zeros((3, 2)), np.zeros((3, 3))).links() == []


def test_strength_is_relative_to_the_strongest() -> None:
    assert prior().strength((0, 2)) == 1 and prior().strength((1, 0)) == 0.25 and prior().strength((2, 3)) < 0.05


def test_saved_and_loaded(tmp_path: Path) -> None:
    path = prior().save(tmp_path / "prior.json")
    again = PosePrior.load(path)
    np.testing.assert_allclose(again.keypoints, prior().keypoints, atol=1e-6)
    np.testing.assert_array_equal(again.connectivity, prior().connectivity)
    assert again.made_by == {"run": "puppets", "step": 3} and again.links() == prior().links()
    assert again.keypoints.dtype == again.connectivity.dtype == np.float32
    assert [file.name for file in tmp_path.iterdir()] == ["prior.json"]


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"keypoints": []}', '{"schema": "pplkit-prior-0", "keypoints": [], "connectivity": []}',
     '{"schema": "pplkit-prior-1", "keypoints": [[0, "x"]], "connectivity": [[0]], "made_by": {}}',
     '{"schema": "pplkit-prior-1", "keypoints": [[0, 1]], "connectivity": [[0]], "made_by": 3}',
     '{"schema": "pplkit-prior-1", "keypoints": [[0, 1], [1, 1]], "connectivity": [[0]], "made_by": {}}',
     '{"schema": "pplkit-prior-1", "keypoints": [[0, 1]], "connectivity": [[0]], "made_by": {}}',
     '{"schema": "pplkit-prior-1", "keypoints": [[0, NaN], [1, 1]], "connectivity": [[0, 1], [1, 0]], "made_by": {}}',
     '{"schema": "pplkit-prior-1", "keypoints": [[0, 1], [1, 1]], "connectivity": [[0, 1], [2, 0]], "made_by": {}}',
     '{"schema": "pplkit-prior-1", "keypoints": [[0, 1], [1, 1]], "connectivity": [[0, -1], [-1, 0]], "made_by": {}}'],
)  # fmt: skip
def test_files_that_are_no_prior_are_named(content: str, tmp_path: Path) -> None:
    path = tmp_path / "prior.json"
    path.write_text(content)
    with pytest.raises(
        PplkitError,
        match="prior.json (is not|does not hold).*: write it again with PosePrior.save",
    ):
        PosePrior.load(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match="none.json does not exist"):
        PosePrior.load(tmp_path / "none.json")


@pytest.mark.parametrize(("points", "links"), [((3, 2), (2, 2)), ((3, 3), (3, 3)), ((3, 2), (3, 4))])
def test_shapes_that_do_not_fit_are_refused(points: tuple[int, int], links: tuple[int, int]) -> None:
    with pytest.raises(PplkitError, match=r"keypoints .* do not fit: give arrays \(N, 2\) and \(N, N\)"):
        PosePrior(np.zeros(points), np.zeros(links))
