"""Methods without notebooks in a plan: what they learn from, their scores by hand, and a study of all of them."""

import csv
import json
from functools import partial
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
import yaml
from lifters import TINY, tiny_lifter

from data_prep.motion_synthetic import lift_batch, prepare
from data_prep.registry import preset_for
from data_prep.synthetic.bodies3d import body_poses
from pplkit import cli
from pplkit.cli.batch import supply
from pplkit.core.errors import PplkitError
from pplkit.data.mesh_sets import write_mesh_set
from pplkit.experiments.batch import Worker, check_same, missing
from pplkit.experiments.methods import METHODS, NAMES, Material, Scores, score_lifting, suited
from pplkit.experiments.plan import Combination, Plan, read_plan
from pplkit.models.lifting.config import LiftingConfig

ALL: dict[str, Any] = {
    "method": ["lifting", "mesh", "contact", "inbetweening"],
    "datasets": ["motion_synthetic", "bodies3d-humanoid"],
    "seeds": [0],
    "scale": "smoke",
    "device": "cpu",
    "jobs": 1,
}


def written(folder: Path, **changes: Any) -> Path:
    content = {name: value for name, value in {**ALL, **changes}.items() if value is not None}
    (folder / "study.yaml").write_text(yaml.safe_dump(content), encoding="utf8")
    return folder / "study.yaml"


def plan(folder: Path, **changes: Any) -> Plan:
    return read_plan(written(folder, **changes), preset_for)


def test_each_data_set_is_learned_from_by_the_methods_that_can(home: Path) -> None:
    made = plan(home, seeds=[0, 1])
    assert [one.run for one in made.combinations] == [
        f"{name}-{seed}"
        for name in ("motion_synthetic-lifting", "motion_synthetic-contact", "motion_synthetic-inbetweening",
                     "bodies3d-humanoid-mesh")
        for seed in (0, 1)
    ]  # fmt: skip
    assert [one.method for one in made.combinations[::2]] == ["lifting", "contact", "inbetweening", "mesh"]
    assert list(made.combinations[0].parameters) == ["train", "score"]
    assert suited("mine", "") == ("prior",) and "lifting" in suited("mine", "folder")


def test_variants_belong_to_methods(home: Path) -> None:
    variants = {
        "ppl": None,
        "lifting": {"preset": "lift"},
        "plain-adam": {"method": "lifting", "like": "AdamW", "learning_rate": "1e-4"},
    }
    made = plan(
        home, method=["prior", "lifting"], datasets=["roses", "motion_synthetic"], variants=variants, steps=5,
        preset="images", scale=None,
    )  # fmt: skip
    assert [one.run for one in made.combinations] == ["roses-ppl-0", "motion_synthetic-lifting-0",
                                                      "motion_synthetic-plain-adam-0"]  # fmt: skip
    assert made.combinations[1].config == LiftingConfig.preset("lift").replace(steps=5)
    changed = LiftingConfig.preset("lift-small").replace(steps=5, learning_rate=1e-4, matrix_learning_rate=0.0)
    assert made.combinations[2].config == changed


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"method": "lifter"}, "study.yaml, method: 'lifter' is unknown: .*choose one of " + ", ".join(NAMES)),
        ({"method": ["mesh", "meshes"]}, "method: 'meshes' is unknown"),
        ({"method": "mesh"}, "datasets.motion_synthetic: method 'mesh' cannot learn from it as it is"),
        ({"datasets": ["bodies3d-humanoid"]}, "method: no data set is for 'lifting': add one"),
        (
            {"datasets": {"bodies3d-humanoid": {"method": ["mesh", "contact"]}}, "method": None},
            "bodies3d-humanoid.method: 'contact' cannot learn from it: choose from mesh",
        ),
        ({"variants": {"wide": {"width": 8}}}, "variants.wide: say by method which one it is a variant of: lifting, "),
        ({"variants": {"x": {"method": "prior"}}}, "variants.x.method: 'prior' is unknown"),
        ({"variants": ["lifting", "mesh", "contact"]}, "variants: none is of method 'inbetweening': add one"),
        ({"variants": {"lifting": {"widht": 8}}}, "variants.lifting: setting 'widht' is unknown: perhaps 'width'"),
        ({"variants": {"lifting": {"seed": 8}}}, "variants.lifting: a variant cannot set 'seed'"),
        ({"variants": {"contact": {"preset": "lift"}}}, "variants.contact: preset 'lift' is unknown: choose contact"),
        ({"variants": {"lifting": {"like": "fast"}}}, "variants.lifting.like: 'fast' is unknown"),
        ({"datasets": {"x": {"source": "."}}}, "datasets.x: say by method which one it is for"),
        ({"datasets": {"motion_synthetic": {"size": 64}}}, "motion_synthetic.size: it is for images alone"),
    ],
)
def test_what_cannot_be_trained_is_refused(changes: dict[str, Any], said: str, home: Path) -> None:
    with pytest.raises(PplkitError, match=said):
        plan(home, **changes)


def test_scores_by_hand() -> None:
    report = Scores("mm", "mean pose", {"mean pose": 4.0, "trained": 3.0}).report()
    assert (report["error"], report["baseline_error"], report["relative_error"]) == (3.0, 4.0, 0.75)
    assert "relative_error" not in Scores("mm", "exact", {"exact": 0.0, "trained": 3.0}).report()


def test_a_lifter_is_scored_beside_its_baselines(tmp_path: Path) -> None:
    run = tiny_lifter(tmp_path / "run", TINY.replace(steps=1, warmup_steps=1))
    scores = score_lifting(run, Material(lift_batch, partial(lift_batch, held_out=True)), smoke=True)
    assert list(scores.errors) == ["mean pose", "linear, one frame", "trained"]
    assert scores.errors["linear, one frame"] < scores.errors["mean pose"] < 1000


def test_folders_are_split_into_what_is_seen_and_what_is_not(tmp_path: Path) -> None:
    material = supply("lifting", "mine", str(prepare(tmp_path / "mine", 2, 1.0)), LiftingConfig())
    assert material.training.examples == 60 and material.held_out.examples == 30
    data = body_poses("humanoid", count=7)
    held = supply("mesh", "mine", str(write_mesh_set(tmp_path / "set", data)), METHODS["mesh"].settings("mesh"))
    assert len(held.training.poses) == 5 and len(held.held_out[0].poses) == 2
    one = write_mesh_set(tmp_path / "one", body_poses("humanoid", count=1))
    with pytest.raises(PplkitError, match="holds one pose: give at least two"):
        supply("mesh", "mine", str(one), METHODS["mesh"].settings("mesh"))
    with pytest.raises(PplkitError, match="there is no body 'dragon'"):
        supply("mesh", "bodies3d-dragon", "", METHODS["mesh"].settings("mesh"))


def test_files_that_changed_after_a_training_are_noticed_wherever_they_lie(home: Path) -> None:
    def one(name: str) -> Combination:
        data = {"fox": {"method": "mesh", "source": name}}
        return plan(home, method="mesh", datasets=data).combinations[0]

    source = write_mesh_set(home / "fox", body_poses("humanoid", count=2))
    before = one("fox")
    run = home / "runs/fox-mesh-0-smoke"
    METHODS["mesh"].train(before.config, body_poses("humanoid", count=2), run, device="cpu", bar=False, threads=1)
    parameters = {name: value for name, value in before.parameters["train"].items() if name != "device"}
    rows = {"train": {"parameters": parameters, "seconds": 1.0}}
    (run / "batch.json").write_text(json.dumps({"notebooks": rows}), encoding="utf8")
    source.rename(home / "vixen")
    check_same(one("vixen"), None, "smoke")
    assert missing(one("vixen"), "smoke") == ["score"]
    write_mesh_set(home / "vixen", body_poses("humanoid", count=2, seed=1))
    with pytest.raises(PplkitError, match="was trained on other files than the plan names now: delete it"):
        check_same(one("vixen"), None, "smoke")


def test_a_study_of_all_methods_gives_one_report(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = written(home)
    for one in plan(home).combinations[:3]:  # here; the last in a process of its own
        assert Worker("smoke", supply)(one, {"OMP_NUM_THREADS": "1"}) == ""
    assert cli.main(["batch", str(file)]) == 0
    assert "4 runs, 3 of them finished" in capsys.readouterr().out
    folder = home / "runs/batches/study-smoke"
    with (folder / "summary.csv").open(encoding="utf8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert [row["method"] for row in rows] == ["lifting", "contact", "inbetweening", "mesh"]
    assert {row["status"] for row in rows} == {"finished"}
    assert all(float(row["evaluation.error"]) > 0 and float(row["evaluation.baseline_error"]) > 0 for row in rows)
    assert "`motion_synthetic`" in (home / "runs/motion_synthetic-contact-0-smoke/MODEL_CARD.md").read_text("utf8")
    page = (folder / "index.html").read_text(encoding="utf8")
    for text in (
        "MPJPE, mm",
        "mean pose",
        "thresholds",
        "interpolation",
        "rest pose",
        "error / baseline",
        "MODEL_CARD.md",
        "Training curves of motion_synthetic, contact",
    ):
        assert text in page

    assert cli.main(["batch", str(file)]) == 0
    assert "4 runs, 4 of them finished" in capsys.readouterr().out
    assert cli.main(["batch", str(written(home, steps=2))]) == 2
    assert "holds a training with other settings (steps 3, now 2)" in capsys.readouterr().err


def test_a_cluster_gets_the_same_work(home: Path) -> None:
    """A task as submitit pickles it for a cluster."""
    one = plan(home, method="lifting", datasets=["motion_synthetic"])
    work, combination = cloudpickle.loads(cloudpickle.dumps((Worker("smoke", supply), one.combinations[0])))
    assert work(combination, {"OMP_NUM_THREADS": "1"}) == ""
    assert (home / "runs/motion_synthetic-lifting-0-smoke/evaluation.json").is_file()


def test_the_example_of_the_guide_is_a_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PPLKIT_HOME", str(tmp_path))
    text = (Path(__file__).resolve().parents[2] / "docs/batches.md").read_text(encoding="utf8")
    for name in ("walks", "fox"):
        (tmp_path / "folder" / name).mkdir(parents=True)
    (tmp_path / "plan.yaml").write_text(text.split("```yaml\n")[2].split("```")[0], encoding="utf8")
    made = read_plan(tmp_path / "plan.yaml", preset_for)
    runs = {one.run[:-2] for one in made.combinations}
    assert len(made.combinations) == 3 * len(runs) and {one.method for one in made.combinations} == set(NAMES)
    assert {"puppets-ppl", "walks-plain-adam", "fox-mesh", "bodies3d-humanoid-mesh"} <= runs and len(runs) == 9
