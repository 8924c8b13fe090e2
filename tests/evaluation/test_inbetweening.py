import numpy as np
import pytest
import torch

from data_prep.motion_synthetic import motion_windows
from pplkit.core.errors import PplkitError
from pplkit.data.sequences import PoseSequence
from pplkit.data.skeletons import H36M17
from pplkit.evaluation.inbetweening import compare, table_lines
from pplkit.models.motion.inbetweening import InBetweening
from pplkit.models.motion.inbetweening_config import InBetweeningConfig


def clip(frames: int = 60, fps: float = 30.0) -> PoseSequence:
    points = motion_windows(1, 1, frames, rule="gait")[0]
    return PoseSequence(points=points, fps=fps, skeleton=H36M17, space="world", source="a walk")


def test_the_table_has_truth_baselines_and_network() -> None:
    torch.manual_seed(0)
    model = InBetweening(InBetweeningConfig(width=8, layers=1)).eval()
    rows = compare(model, {"walk": [clip()], "short": [clip(20)]}, gaps=(10, 20), stride=10)
    assert {row.clips for row in rows} == {"walk"} and [row.gap for row in rows[::6]] == [10, 20]
    table = {row.method: row for row in rows[6:]}
    assert table["truth"].error == 0 and table["truth"].slide < 0.1
    assert table["network"].error == pytest.approx(table["interpolation"].error, rel=1e-4)  # not trained
    assert table["holding still"].error > table["interpolation"].error > 0
    assert rows[0].windows == 4 and rows[6].windows == 3
    assert len(table_lines(rows)) == 14 and "| walk | 20 | 3 | truth | 0.0 |" in table_lines(rows)[8]


def test_a_step_of_a_sliding_clip_by_hand() -> None:
    """A figure that glides at constant speed: interpolation is exact; held still, it is off by half the way."""
    points = np.tile(motion_windows(2, 1, 1, rule="planted")[0], (40, 1, 1))
    points[:, :, 0] += 0.002 * np.arange(40)[:, None]
    sequence = PoseSequence(points=points, fps=30, skeleton=H36M17, space="world", source="glide")
    model = InBetweening(InBetweeningConfig(width=8, layers=1)).eval()
    rows = {row.method: row for row in compare(model, {"glide": [sequence]}, gaps=(9,))}
    assert rows["interpolation"].error == pytest.approx(0, abs=0.01)
    assert rows["holding still"].error == pytest.approx(2 * 5, rel=1e-3)  # mm: the mean of 1 to 9 steps
    assert rows["truth"].slide == pytest.approx(0.06, rel=1e-2)  # m/s


def test_other_frame_rates_are_refused() -> None:
    model = InBetweening(InBetweeningConfig(width=8, layers=1))
    with pytest.raises(PplkitError, match="a walk has 25.* give it at 30"):
        compare(model, {"walk": [clip(fps=25.0)]})
