"""Variants of a lifter: what each changes, and that trainings of a table are made once."""

import json
from pathlib import Path

import numpy as np
import pytest

from data_prep.motion_synthetic import lift_batch
from pplkit.core.errors import PplkitError
from pplkit.evaluation.lifting import clips_of
from pplkit.experiments.lifting_ablations import compare_lifters, lifter_table
from pplkit.models.lifting import LiftingConfig
from pplkit.models.lifting.variants import LIFTING_VARIANTS, lifting_variant

TINY = LiftingConfig.preset("lift-small").replace(width=24, depth=1, heads=2, steps=2, batch_size=4, warmup_steps=1)


def nothing(keypoints: np.ndarray, _: np.ndarray) -> np.ndarray:
    return np.zeros((*keypoints.shape[:2], 3))


@pytest.mark.parametrize("name", LIFTING_VARIANTS)
def test_each_variant_is_possible_and_changes_what_it_says(name: str) -> None:
    config = LiftingConfig.preset("lift-small")
    changed, changes = lifting_variant(config, name).to_dict(), LIFTING_VARIANTS[name].changes
    assert {key: changed[key] for key in changes} == changes
    assert all(getattr(config, key) != value for key, value in changes.items())
    assert lifting_variant(config, name).steps == config.steps


def test_an_unknown_variant_is_answered_with_the_nearest() -> None:
    with pytest.raises(PplkitError, match="'casual' is unknown: .*causal"):
        lifting_variant(TINY, "casual")


def test_a_table_has_baselines_and_keeps_trainings(tmp_path: Path) -> None:
    clips = {"clean": clips_of(lift_batch(1, 3, noise=0.0, held_out=True))}
    names: list[str] = []

    def compare(seeds: list[int]) -> dict[str, object]:
        return compare_lifters(
            TINY, lift_batch, clips, ["preset", "one frame"], seeds, tmp_path, baselines={"root": nothing},
            callback=names.append,
        )  # fmt: skip

    result = compare([0])
    weights = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    assert len(weights) >= 2
    again = compare([0])
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")} == weights
    assert names == 2 * ["preset, seed 0", "one frame, seed 0"]
    assert json.loads((tmp_path / "lifting_ablations.json").read_text(encoding="utf8")) == again
    lines = lifter_table(again).splitlines()
    assert [line.split(" | ")[0] for line in lines] == ["| variant", "| ---", "| root", "| preset", "| one frame"]
    rows = result["rows"]
    distance = 1000 * np.mean([np.linalg.norm(clip.positions, axis=-1).mean() for clip in clips["clean"]])
    assert rows["root"]["clean"] == [pytest.approx(distance, rel=1e-5)]  # type: ignore[index]


def test_deviations_are_shown_from_two_seeds_on() -> None:
    row = {"means": "baseline", "clean": [10.0, 12.0], "seconds": [3.0, 5.0]}
    text = lifter_table({"conditions": ["clean"], "rows": {"a": row}})
    assert text.splitlines()[2] == "| a | baseline | 11.0 ± 1.4 | 4 ± 1 |"


def test_nothing_to_compare_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match="must each name at least one"):
        compare_lifters(TINY, lift_batch, {}, [], [0], tmp_path, baselines={})
