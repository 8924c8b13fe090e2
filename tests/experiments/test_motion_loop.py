"""The motion loop from end to end, tiny: its table, that it goes on after any end, and that arms share stages."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_prep.motion_synthetic import motion_windows
from pplkit.core.errors import PplkitError
from pplkit.data.sequences import PoseSequence
from pplkit.data.skeletons import H36M17
from pplkit.experiments import loop_stages
from pplkit.experiments.loop_plan import read_loop_plan
from pplkit.experiments.motion_loop import run_loop, table_lines

PLAN = """
rounds: {rounds}
arms: [{arms}]
clips: {{count: 3, seconds: 1.0, rules: [gait, planted]}}
start: {{steps: 4}}
estimator: {{{estimator}, steps: 4, batch_size: 4}}
imitation: {{method: filters, distance: 5.0, bones: 100.0}}
hallucination: {{count: 2, seconds: 1.0, steps: 3, width: 16, layers: 1, batch_size: 4, longest_gap: 15}}
test: {{count: 2, seconds: 1.0}}
"""
LIFTING = "preset: lift-small, width: 24, depth: 1, heads: 2, warmup_steps: 1"
PUBLISHED = "kind: published, channels: 8, blocks: 1"
KILLED = """
import os, signal, sys
from pathlib import Path
from data_prep.motion_synthetic import motion_windows
from pplkit.experiments import loop_stages, stages
from pplkit.experiments.loop_plan import read_loop_plan
from pplkit.experiments.motion_loop import run_loop
module, limit, written = {"clip": loop_stages, "stage": stages}[sys.argv[3]], int(sys.argv[4]), 0
write = module.write_json
def count(path, content):
    global written
    written += 1
    if written > limit:
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, content)
module.write_json = count
run_loop(read_loop_plan(Path(sys.argv[1])), motion_windows, Path(sys.argv[2]))
"""


def plan(folder: Path, estimator: str = LIFTING, arms: str = "loop", rounds: int = 1) -> Path:
    file = folder / "tiny.yaml"
    file.write_text(PLAN.format(estimator=estimator, arms=arms, rounds=rounds), encoding="utf-8")
    return file


def run(file: Path, out: Path) -> dict[str, Any]:
    return json.loads((run_loop(read_loop_plan(file), motion_windows, out) / "loop.json").read_text(encoding="utf-8"))


def without_times(value: Any) -> Any:
    """A result without what it took."""
    if isinstance(value, dict):
        return {key: without_times(part) for key, part in value.items() if "seconds" not in key}
    return [without_times(part) for part in value] if isinstance(value, list) else value


def test_rounds_and_arms_make_one_table(tmp_path: Path) -> None:
    result = run(plan(tmp_path, arms='loop, raw, "true"', rounds=2), tmp_path / "out")
    rows = [(row["round"], row["arm"]) for row in result["rows"]]
    assert rows == [(0, "start"), (1, "loop"), (2, "loop"), (1, "raw"), (2, "raw"), (1, "true"), (2, "true")]
    errors = {row: line["mpjpe_mm"] for row, line in zip(rows, result["rows"], strict=True)}
    assert len(set(errors.values())) == 7 and all(np.isfinite(list(errors.values())))
    made = result["rows"][1]["stages"]["imitate"]
    assert made["clips"] == 3 and made["dropped"] == {}
    assert made["means"]["bone_deviation_mm"] < 0.01 < made["means"]["bone_deviation_mm_before"]
    assert made["means"]["mpjpe_mm"] > 0  # known here, and used by nobody
    assert result["cpu_seconds"]["all"] > result["cpu_seconds"]["train"] > 0
    lines = table_lines(result)
    assert len(lines) == 2 + 7 + 2 and "7,800" in lines[-1] and lines[2].startswith("| 0 | start |")
    assert (tmp_path / "out" / "loop.md").read_text(encoding="utf-8").splitlines() == lines


@pytest.mark.parametrize(("kind", "limit"), [("clip", 4), ("stage", 9)])
def test_a_killed_loop_goes_on_to_the_same_bits(tmp_path: Path, kind: str, limit: int) -> None:
    file = plan(tmp_path)
    arguments = [sys.executable, "-c", KILLED, str(file), str(tmp_path / "parts"), kind, str(limit)]
    ended = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert ended.returncode == -9, ended.stderr
    assert not (tmp_path / "parts" / "loop.json").exists()
    parts, whole = run(file, tmp_path / "parts"), run(file, tmp_path / "whole")
    assert without_times(parts) == without_times(whole)
    again = run(file, tmp_path / "parts")
    assert again == parts  # nothing is done twice, not even timed


def test_the_published_estimator_goes_through_the_same_rounds(tmp_path: Path) -> None:
    result = run(plan(tmp_path, PUBLISHED), tmp_path / "out")
    assert [row["arm"] for row in result["rows"]] == ["start", "loop"]
    assert all(np.isfinite(row["mpjpe_mm"]) for row in result["rows"])


def test_own_clips_at_25_frames_a_second_with_a_hidden_joint(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    clips = tmp_path / "made"
    clips.mkdir()
    settings = read_loop_plan(plan(tmp_path)).clips.replace(fps=25.0)
    loop_stages.make_clips(clips, settings, 0, motion_windows)
    for clip in loop_stages.read_motions(clips):
        pixels = clip.points.copy()
        pixels[:, 16] = np.nan
        pixels[3] = np.inf
        mine = PoseSequence(points=pixels, fps=25, skeleton=H36M17, size=(1000, 1000))
        mine.write(tmp_path / "mine" / f"{clip.source}.npz")
    text = plan(tmp_path).read_text(encoding="utf-8").replace("count: 3, seconds: 1.0", "source: mine")
    (tmp_path / "tiny.yaml").write_text(text, encoding="utf-8")
    result = run(tmp_path / "tiny.yaml", tmp_path / "out")
    assert result["rows"][1]["stages"]["imitate"]["clips"] == 3
    motion = loop_stages.read_motions(tmp_path / "out" / "seed-0" / "start" / "imitated")[0]
    assert motion.fps == 30 and len(motion) == 29
    plain = text.replace("[loop]", '["true"]')
    (tmp_path / "tiny.yaml").write_text(plain, encoding="utf-8")
    with pytest.raises(PplkitError, match="own clips have no truth"):
        run(tmp_path / "tiny.yaml", tmp_path / "out")


def test_a_changed_plan_does_not_mix_with_what_is_there(tmp_path: Path) -> None:
    file = plan(tmp_path)
    run(file, tmp_path / "out")
    file.write_text(file.read_text(encoding="utf-8").replace("distance: 5.0", "distance: 4.0"), encoding="utf-8")
    with pytest.raises(PplkitError, match=r"imitated was made with other settings \(distance\)"):
        run(file, tmp_path / "out")
