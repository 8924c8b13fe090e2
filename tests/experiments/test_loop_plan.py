"""Plans of motion loops: what they mean, and one sentence for each mistake."""

from pathlib import Path

import pytest

from pplkit.core.errors import PplkitError
from pplkit.experiments.loop_plan import read_loop_plan
from pplkit.models.lifting.config import LiftingConfig
from pplkit.models.motion.estimator_config import EstimatorConfig
from pplkit.models.motion.imitation_config import ImitationConfig

ROOT = Path(__file__).resolve().parents[2]


def plan(folder: Path, text: str) -> Path:
    file = folder / "plan.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_an_empty_section_has_the_defaults(tmp_path: Path) -> None:
    read = read_loop_plan(plan(tmp_path, "rounds: 3\n"))
    assert read.rounds == 3 and read.seeds == (0,) and read.arms == ("loop",)
    assert isinstance(read.estimator, LiftingConfig) and read.estimator.name == "lift-small"
    assert read.start_steps == read.estimator.steps and read.imitation.method == "fit"


def test_sections_are_split_between_a_stage_and_what_it_starts(tmp_path: Path) -> None:
    text = """
clips: {fps: 25, count: 5}
start: {steps: 7}
estimator: {kind: published, channels: 32, learning_rate: 1e-3}
imitation: {method: track, falls: 1, force: 200.0}
hallucination: {count: 3, width: 16}
"""
    read = read_loop_plan(plan(tmp_path, text))
    assert isinstance(read.estimator, EstimatorConfig)
    assert (read.estimator.channels, read.estimator.learning_rate, read.estimator.fps) == (32, 1e-3, 25.0)
    assert read.start_steps == 7 and read.network.fps == 25.0 and read.network.width == 16
    assert read.imitation.falls == 1 and dict(read.method_settings) == {"force": 200.0}
    assert read.hallucination.count == 3


def test_the_plans_that_come_along_can_be_read(tmp_path: Path) -> None:
    example = (ROOT / "docs" / "motion.md").read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0]
    assert read_loop_plan(plan(tmp_path, example)).arms == ("loop", "raw", "true")
    assert read_loop_plan(plan(tmp_path, "arms: [true]")).arms == ("true",)
    kinds = [read_loop_plan(file).estimator.name for file in sorted((ROOT / "tests/benchmarks").glob("*loop*.yaml"))]
    assert kinds == ["lift-small", "estimator"]


def test_a_policy_has_the_settings_of_its_training(tmp_path: Path) -> None:
    read = read_loop_plan(plan(tmp_path, "imitation: {method: policy, config: {steps: 20, force: 50}}"))
    config = read.method_settings["config"]
    assert isinstance(config, ImitationConfig) and (config.steps, config.force) == (20, 50.0)
    with pytest.raises(PplkitError, match=r"imitation.config: setting 'step' is unknown"):
        read_loop_plan(plan(tmp_path, "imitation: {method: policy, config: {step: 20}}"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("round: 3", "'round' is unknown"),
        ("arms: [lop]", "arms: 'lop' is unknown"),
        ("rounds: -1", "rounds: -1 must be a whole number"),
        ("seeds: []", "seeds"),
        ("clips: {source: nowhere}", "is no folder"),
        ("clips: {second: 3}", "clips: setting 'second' is unknown"),
        ("clips: {fps: 0}", "clips.fps: 0"),
        ("imitation: {method: wish}", "imitation.method: 'wish' is unknown"),
        ("hallucination: {widht: 3}", "hallucination: setting 'widht' is unknown"),
        ("estimator: {kind: other}", "estimator.kind: 'other' is unknown"),
        ("estimator: {preset: poseformer-27}", "not for a loop"),
        ("estimator: {preset: nothing}", "preset 'nothing' is unknown"),
        ("estimator: {width: 7}", "estimator: width=7"),
    ],
)
def test_a_mistake_gives_one_sentence_that_names_file_and_place(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(PplkitError) as error:
        read_loop_plan(plan(tmp_path, text))
    assert words in str(error.value) and "plan.yaml" in str(error.value) and "\n" not in str(error.value)
