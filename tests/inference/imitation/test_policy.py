from pathlib import Path

import numpy as np
import pytest
from strides import walk

from pplkit.core.errors import PplkitError
from pplkit.inference.imitation.methods import imitate
from pplkit.models.motion.imitation_config import ImitationConfig

pytest.importorskip("mujoco", reason='MuJoCo simulates bodies: pip install "pplkit[motion]"')
TINY = ImitationConfig(bodies=4, horizon=8, batch_size=16, passes=2, widths=(16,), steps=4, episode=10)


def test_a_policy_is_trained_for_the_clip_and_read_again(tmp_path: Path) -> None:
    first, report = imitate(walk(20), "policy", run=tmp_path / "run", config=TINY, bar=False)
    assert (tmp_path / "run" / "training.json").is_file() and {"falls", "force_body_weights"} <= report.after.keys()
    again, _ = imitate(walk(20), "policy", run=tmp_path / "run", config=TINY, bar=False)
    assert np.array_equal(first.points, again.points)
    with pytest.raises(PplkitError, match="other settings.*reference"):
        imitate(walk(21), "policy", run=tmp_path / "run", config=TINY, bar=False)


def test_without_a_folder_nothing_is_left_behind() -> None:
    motion, _ = imitate(walk(12, 50.0), "policy", config=TINY, bar=False)
    assert motion.fps == 50 and len(motion) == 12
