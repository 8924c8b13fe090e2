"""Plans are read with the safe loader and refused as a whole, naming file, place and remedy."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from batches_home import make_home, plan, prepare, rows, small, write_notebook, write_plan

from data_prep.registry import preset_for
from pplkit import cli
from pplkit.core.errors import PplkitError
from pplkit.core.project import same_prior
from pplkit.core.yaml_file import At
from pplkit.experiments.batch import run_batch
from pplkit.experiments.notebooks import NOTEBOOKS
from pplkit.experiments.plan import read_plan, slurm_options
from pplkit.models.prior.config import Config
from pplkit.models.prior.variants import VARIANTS

README = Path(__file__).resolve().parents[2] / "README.md"


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_home(tmp_path_factory.mktemp("home"))


@pytest.fixture
def home(shared_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PPLKIT_HOME", str(shared_home))
    return shared_home


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_this_process: None) -> Path:
    """A home to run batches in."""
    monkeypatch.setenv("PPLKIT_HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(README.parent))
    return make_home(tmp_path)


def test_every_combination_is_a_run_with_its_parameters(home: Path) -> None:
    made = read_plan(write_plan(home, steps=7, notebooks=["train", "score"], parameters={"factor": 2}), preset_for)
    assert [one.run for one in made.combinations] == [
        f"{data}-{variant}-{seed}" for data in ("roses", "tulips") for variant in ("ppl", "small") for seed in (0, 1)
    ]
    last = made.combinations[-1]
    assert last.parameters == {
        "train": {
            "dataset": "tulips", "preset": "images", "steps": 7, "seed": 1, "device": "cpu", "settings": {"banks": 4},
            "run": "tulips-small-1",
        },
        "score": {"run": "tulips-small-1", "factor": 2},
    }  # fmt: skip
    assert last.config == Config.preset("images").replace(steps=7, seed=1, banks=4)
    assert made.folder == home / "runs" / "batches" / "try"


def test_what_is_not_said_has_defaults(home: Path) -> None:
    given = write_plan(home, variants=None, device=None, jobs=None)
    made = read_plan(given, preset_for)
    assert (dict(made.variants), made.scale, made.device, made.jobs, made.threads) == (
        {"ppl": {}}, "default", "auto", None, 1,
    )  # fmt: skip
    assert made.combinations[0].parameters["train"]["steps"] == 0


def test_variants_are_those_of_notebook_6_or_settings_on_top_of_one(home: Path) -> None:
    mine = {"autolink": None, "late": {"like": "autolink", "learning_rate": "1e-4", "steps": 9, "hold": 0.5}}
    made = read_plan(write_plan(home, variants=mine, seeds=[0], steps=5), preset_for)
    changes = VARIANTS["autolink"].changes
    assert made.variants["autolink"] == changes
    added = read_plan(home / "try.yaml", preset_for, {"banks": 3}).variants
    assert added == {name: {**own, "banks": 3} for name, own in made.variants.items()}
    autolink, late = made.combinations[0], made.combinations[1]
    assert late.config == autolink.config.replace(learning_rate=1e-4, steps=9, lr_hold=0.5)  # YAML reads 1e-4 as text
    assert late.parameters["train"]["settings"] == {
        **changes,
        "learning_rate": 1e-4,
        "lr_hold": 0.5,
    }  # hold is its old name
    assert (autolink.parameters["train"]["steps"], late.parameters["train"]["steps"]) == (5, 9)


def test_smoke_runs_are_small_and_lie_apart(home: Path) -> None:
    made = read_plan(write_plan(home, scale="smoke", seeds=[3]), preset_for)
    assert made.folder.name == "try-smoke"
    assert made.combinations[0].config == Config.preset("images").smoke().replace(seed=3)
    given = write_plan(home, scale="smoke", variants={"big": {"banks": 9}})  # smoke has 4
    assert read_plan(given, preset_for).combinations[0].config.banks == 9


def test_a_predefined_prior_lies_in_the_run_folder(home: Path) -> None:
    (one,) = read_plan(write_plan(home, datasets=["roses"], variants=["fixed"], seeds=[0]), preset_for).combinations
    assert one.config.predefined == str(home / "runs" / "roses-fixed-0" / "predefined.json")


def test_paths_start_at_the_plan(home: Path) -> None:
    (home / "photos").mkdir(exist_ok=True)
    given = {"folder-a": {"source": "photos", "options": {"labels": "points.csv"}}, "puppets": {"source": "hand"}}
    result = read_plan(write_plan(home, datasets=given), preset_for).datasets
    assert (result["folder-a"].source, result["puppets"].source) == (str(home / "photos"), "hand")
    assert result["folder-a"].options == {"labels": str(home / "points.csv")}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"datsets": ["roses"]}, "try.yaml: the key 'datsets' is unknown: perhaps 'datasets' is meant"),
        ({"datasets": None}, "try.yaml: the key 'datasets' is missing"),
        ({"datasets": []}, "datasets: .* must be a list of one or more"),
        ({"datasets": {}}, "datasets: it is empty"),
        ({"datasets": "roses"}, "datasets: 'roses' must be a mapping"),
        ({"datasets": ["roses", "Roses"]}, "datasets: two entries are 'Roses', ignoring case"),
        ({"datasets": {"roses": {"sauce": "x"}}}, "datasets.roses: the key 'sauce' is unknown: .*choose one of source"),
        ({"datasets": {"roses": {"size": "64"}}}, "datasets.roses.size: '64' must be a whole number"),
        ({"datasets": {"../roses": None}}, "datasets.../roses: dataset='../roses' cannot name a folder"),
        ({"datasets": {"cub": {"source": "nowhere"}}}, "datasets.cub.source: .*/nowhere does not exist"),
        ({"preset": None}, "datasets.roses: no settings are named after the data set 'roses'"),
        ({"preset": "tiny"}, "datasets.roses: preset 'tiny' is unknown: choose one of"),
        ({"datasets": {False: None}}, "datasets: the key False is not text: put it in quotes"),
        ({"variants": ["pll"]}, "variants.pll: variant 'pll' is unknown: give it settings, or perhaps 'ppl' is meant"),
        ({"variants": {"a b": {"banks": 2}}}, "variants.a b: name it by letters"),
        ({"variants": {"ppl": {"banks": 2}}}, "variants.ppl: pplkit defines a variant of this name"),
        ({"variants": {"x": {"bank": 2}}}, "variants.x: setting 'bank' is unknown: perhaps 'banks' is meant"),
        ({"variants": {"x": {"banks": "2"}}}, "variants.x: setting banks='2' must be of type int"),
        ({"variants": {"x": {"banks": 0}}}, "variants.x: banks=0 is too small.*data set roses"),
        ({"variants": {"x": {"learning_rate": "fast"}}}, "variants.x: setting learning_rate='fast' must be .* float"),
        ({"variants": {"x": {"seed": 2}}}, "variants.x: a variant cannot set 'seed': say it under seeds"),
        ({"variants": {"x": {"like": "y"}}}, "variants.x: variant 'y' is unknown"),
        ({"seeds": 3}, "seeds: 3 must be a list"),
        ({"seeds": [0, 0]}, "seeds: two entries are 0"),
        ({"seeds": [True]}, "seeds: True must be a whole number from 0"),
        ({"seeds": [-1]}, "seeds: -1 must be a whole number from 0"),
        ({"notebooks": ["trains"]}, "notebooks: .*trains.ipynb is missing"),
        ({"notebooks": ["../train"]}, r"notebooks: '\.\./train' is not the name of a notebook"),
        ({"notebooks": ["half"]}, "notebooks: half has no parameter 'seed', which a batch has to set"),
        (
            {"parameters": {"fial": 2}},
            "parameters.fial: none of the notebooks has this parameter: .*choose one of fail, kill",
        ),
        ({"parameters": {"sleep": "two"}}, "parameters.sleep: 'two' must be of type float, as 0.0 is"),
        ({"parameters": {"fail": 2}}, "parameters.fail: 2 must be of type str"),
        ({"parameters": {"seed": 2}}, "parameters.seed: a batch sets it: say it by the plan's seeds"),
        ({"steps": 0}, "steps: 0 must be a whole number from 1"),
        ({"scale": "tiny"}, "scale: 'tiny' is unknown: choose one of default, smoke"),
        ({"device": "gpu"}, "device: 'gpu' is unknown: .*choose one of auto"),
        ({"jobs": 0}, "jobs: 0 must be a whole number from 1"),
        ({"threads": 1.5}, "threads: 1.5 must be a whole number from 1"),
        ({"slurm": {"gpu": 1}}, "slurm: the key 'gpu' is unknown: .*choose one of partition, gpus"),
        ({"slurm": {"minutes": "4:00"}}, "slurm.minutes: '4:00' must be a whole number"),
        ({"slurm": {"memory": "16GB"}}, "slurm.memory: '16GB' must be a number of GB"),
        ({"datasets": ["a", "a-b"], "variants": {"b-c": {"banks": 2}, "c": {"banks": 3}}}, "two runs .* 'a-b-c-0'"),
    ],
)
def test_what_cannot_be_run_is_refused(changes: dict[str, Any], said: str, home: Path) -> None:
    write_notebook(home / "notebooks" / "half.ipynb", 'dataset = ""  # a name\nrun = ""  # a name', "")
    before = sorted(home.rglob("*"))
    file = write_plan(home, **changes)
    with pytest.raises(PplkitError, match=said) as refused:
        read_plan(file, preset_for)
    assert str(refused.value).startswith(str(file)) and "\n" not in str(refused.value)
    assert sorted({*home.rglob("*")} - {*before, file}) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seeds: [0", "try.yaml, line 1: "),
        ("seeds: [0]\nseeds: [1]", "try.yaml, line 1: two entries are called 'seeds'"),
        ("variants: {a: {banks: 2}, a: {banks: 3}}", "try.yaml, line 1: two entries are called 'a'"),
        ("seeds: !!python/object/apply:os.getpid []", "line 1: could not determine a constructor for the tag"),
        ("seeds: [2024-01-01]", "holds more than text.*date"),
        ("parameters: {factor: .nan}", "holds more than text, finite numbers"),
        ("seeds: &a [*a]", "Circular reference"),
        ("- a", "try.yaml: .* must be a mapping"),
        ("", "the key 'datasets' is missing"),
        ("\0", "is not YAML"),
    ],
)
def test_what_is_no_plan_is_named(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "try.yaml"
    file.write_text(text, encoding="utf8")
    with pytest.raises(PplkitError, match=said) as refused:
        read_plan(file, preset_for)
    assert "\n" not in str(refused.value)


def test_a_plan_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match="none.yaml does not exist: name a YAML file"):
        read_plan(tmp_path / "none.yaml", preset_for)


def test_aliases_and_merged_mappings_are_read(home: Path) -> None:
    file = home / "try.yaml"
    variants = "variants:\n  a: &a {banks: 4}\n  b: {<<: *a, vectors: 8}\n"
    file.write_text(f"datasets: [roses]\npreset: images\nnotebooks: [train]\nseeds: [0]\n{variants}", encoding="utf8")
    assert read_plan(file, preset_for).variants == {"a": {"banks": 4}, "b": {"banks": 4, "vectors": 8}}


def test_the_same_prior_lies_at_the_same_place_or_says_the_same(own: Path) -> None:
    run, mine, shared = own / "runs/a", "runs/a/predefined.json", "priors/a.json"
    before, now = own / "old", own  # a project that was moved to `own` from a folder in it
    for name in (mine, shared):
        for root, text in ((before, "1"), (now, "2")):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text, encoding="utf8")
    assert same_prior(str(before / mine), str(now / mine), run)  # whatever has come to its old place
    assert not same_prior(str(before / shared), str(now / shared), run)
    (before / shared).write_text("2", encoding="utf8")
    assert same_prior(str(before / shared), str(now / shared), run)
    (before / shared).unlink()
    assert same_prior(str(before / shared), str(now / shared), run)
    assert not same_prior(str(before / "priors/b.json"), str(now / shared), run)
    assert not same_prior("", str(now / mine), run) and not same_prior(str(now / mine), "", run)
    assert same_prior("", "", run) and not same_prior(None, str(now / mine), run)


def test_a_folder_of_another_plan_is_refused_before_anything_runs(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_batch(small(own), prepare)
    page = (own / "runs/batches/try/index.html").read_bytes()
    (own / "other").mkdir()
    other = (own / "try.yaml").rename(own / "other/try.yaml")
    first = write_plan(own, datasets=["roses"], variants=["ppl"], seeds=[0])
    other.write_text(first.read_text(encoding="utf8").replace("roses", "tulips"), encoding="utf8")
    assert cli.main(["batch", str(other)]) == 2
    said = capsys.readouterr().err
    assert f"{other}: {own}/runs/batches/try holds the report of another plan, {first}: rename this file" in said
    assert said.count("\n") == 1
    assert [path.name for path in (own / "runs").iterdir() if path.name != "batches"] == ["roses-ppl-0"]
    assert (own / "runs/batches/try/index.html").read_bytes() == page
    assert cli.main(["batch", str(other.rename(own / "other/late.yaml"))]) == 0
    assert [row["dataset"] for row in rows(own)] == ["roses"]
    assert [row["dataset"] for row in rows(own, "late")] == ["tulips"]


def test_a_plan_that_is_edited_moved_or_copied_with_its_project_keeps_its_folder(
    own: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_batch(small(own), prepare)
    run_batch(small(own, seeds=[1]), prepare)  # edited
    (own / "plans").mkdir()
    moved = (own / "try.yaml").rename(own / "plans/try.yaml")
    run_batch(read_plan(moved, preset_for), prepare)
    moved = moved.rename(own / "try.yaml")
    run_batch(read_plan(moved, preset_for), prepare)
    copy = shutil.copytree(own, tmp_path_factory.mktemp("elsewhere") / "copy")
    monkeypatch.setenv("PPLKIT_HOME", str(copy))
    run_batch(read_plan(moved, preset_for), prepare)  # that of the first project, which says the same
    run_batch(small(copy, seeds=[0]), prepare)
    assert [row["seed"] for row in rows(copy)] == ["0"] and [row["seed"] for row in rows(own)] == ["1"]
    (copy / "runs/batches/try/plan.json").unlink()  # as of a batch that earlier versions ran
    run_batch(small(copy, seeds=[1]), prepare)
    for garbled in ('{"plan": 1}', '{"plan": "\\u0000"}', "{}"):
        (copy / "runs/batches/try/plan.json").write_text(garbled, encoding="utf8")
        run_batch(small(copy, seeds=[1]), prepare)


def test_slurm_options_are_those_of_the_plan_or_the_command(home: Path) -> None:
    given = {"partition": "gpu", "gpus": 1, "minutes": 60, "memory": 12.5, "additional": {"nice": 10}}
    assert read_plan(write_plan(home, slurm=given), preset_for).slurm == given
    with pytest.raises(PplkitError, match="--slurm.gpus: 'one' must be a whole number"):
        slurm_options(At(Path("p.yaml"), "--slurm"), {"gpus": "one"})


def test_the_example_of_the_readme_is_a_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PPLKIT_HOME", str(tmp_path))
    text = (README.parent / "docs/batches.md").read_text(encoding="utf8").split("```yaml\n")[1].split("```")[0]
    (tmp_path / "folder" / "CUB_200_2011").mkdir(parents=True)
    (tmp_path / "plan.yaml").write_text(text, encoding="utf8")
    made = read_plan(tmp_path / "plan.yaml", preset_for)
    assert len(made.combinations) == len(made.datasets) * len(made.variants) * 3
    assert tuple(made.combinations[0].parameters) == NOTEBOOKS[1:]
    assert plan()["seeds"] == [0, 1]
