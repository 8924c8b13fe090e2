"""Notebooks 01 to 06 run at smoke scale; a second run from nothing says the same; what they wrote can be used."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import numpy as np
import pytest
from one_kernel import joined, printed, run_in_one_kernel
from PIL import Image

from data_prep.synthetic.puppets import generate, layout
from pplkit.core.errors import PplkitError
from pplkit.data.dataset import open_dataset
from pplkit.data.writer import DatasetWriter
from pplkit.experiments.notebooks import NOTEBOOKS, publish, run_notebooks
from pplkit.inference.landmarks.fitting import load_landmarks
from pplkit.models.prior.config import Config
from pplkit.models.prior.pose_prior import PosePrior
from pplkit.training.saved_model import load

pytestmark = pytest.mark.notebooks
FIGURES = {
    "training_batch", "training_curves", "reconstructions", "prior_evolution", "prior", "bank_usage",
    "bank_effects", "prototypes", "poses", "error_vs_mean_pose", "keypoint_errors", "best_and_worst_images",
    "object_coverage", "occluded_images", "occlusion_error_by_round", "rounds_hidden_center",
    "rounds_hidden_patches", "occlusion_error_by_amount", "completed_poses", "confidence_vs_error",
    "poses_by_confidence", "nearest_prototypes", "prior_explorer", "landmark_errors", "landmarks",
    "tracks_vs_truth",
}  # fmt: skip
LABELS = "image,landmark,x,y\n0,left hand,9,12\n2,left hand,10,14\n4,right hand,20,12\n2,right hand,21,13\n"


class Executed(NamedTuple):
    """A home in which the notebooks have run."""

    home: Path
    notebooks: list[Path]
    run: Path
    data: Path

    def read(self, name: str) -> Any:
        return json.loads((self.run / name).read_text(encoding="utf8"))


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """The kernels compute on one thread, like the tests: faster for tiny models, and always in the same order."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


def test_ablations_run(tmp_path: Path) -> None:
    parameters = {"scale": "smoke", "variants": ["ppl", "fixed"], "seeds": [0], "lifting_variants": ["preset", "AdamW"]}
    folder = run_notebooks("puppets", "ablations", parameters, ("06_ablations",), root=tmp_path)
    result = json.loads((folder / "ablations.json").read_text(encoding="utf8"))
    assert list(result["rows"]) == ["ppl", "fixed"]
    assert all(math.isfinite(row["relative_error"]["mean"]) for row in result["rows"].values())
    lifted = json.loads((folder / "lifting" / "lifting_ablations.json").read_text(encoding="utf8"))
    assert list(lifted["rows"]) == ["mean pose", "linear, one frame", "preset", "AdamW"]
    assert {path.stem for path in (folder / "figures").iterdir()} == {"ablations", "priors"}


def test_a_model_that_sees_more_than_it_paints_goes_through_all_notebooks(tmp_path: Path) -> None:
    """As photographs do: the regressor sees 64 pixels through a backbone, the decoder paints 32."""
    about = vars(layout("humanoid"))
    with DatasetWriter(tmp_path / "data/photos", name="folder-photos", size=64, protocol="h36m", **about) as writer:
        for number, split in enumerate(("train", "test")):
            writer.add(split, **vars(generate("humanoid", 8, 4, size=64, seed=number)))
    preset = Config.preset("photographs")
    small = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in preset.smoke().to_dict().items()
        if value != getattr(preset, name)
    }
    parameters = {
        "preset": "photographs", "steps": 4,
        "settings": small | {"image_size": 64, "paint_size": 32, "keypoints": 4, "steps": 4},
        "center": [4, 6], "random": [0.2, 0.4], "border": [], "things": [0.5], "iterations": 1, "limit": 4,
        "completer_steps": 2,
    }  # fmt: skip
    given = {**parameters, "dataset": "photos", "run": "look"}
    notebook = run_in_one_kernel(tmp_path, [(name, given) for name in NOTEBOOKS[1:]])
    outputs = [output for cell in notebook.cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert {"reconstructions", "prior", "poses", "occlusion_error_by_amount"} <= {
        path.stem for path in (tmp_path / "runs/look/figures").iterdir()
    }


@pytest.fixture(scope="session")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Executed:
    home = tmp_path_factory.mktemp("home")
    (home / "runs" / "first-smoke").mkdir(parents=True)
    (home / "runs" / "first-smoke" / "landmarks.csv").write_text(LABELS, encoding="utf8")
    parameters = {"scale": "smoke", "baselines": ["autolink"], "seeds": [0]}
    folder = run_notebooks("puppets", "first", parameters, root=home)
    assert folder == home / "runs" / "first-smoke"
    notebooks = [folder / "notebooks" / f"{name}.ipynb" for name in NOTEBOOKS]
    return Executed(home, notebooks, folder, home / "data" / "puppets-smoke")


def test_your_images_from_videos_and_from_pictures(tmp_path: Path) -> None:
    """Without a source it films puppets; with a folder of pictures it draws over these."""
    pictures = tmp_path / "my pictures"
    pictures.mkdir()
    for number, image in enumerate(generate("hand", 1, 20, 48).images):
        Image.fromarray(image).save(pictures / f"{number}.jpg")
    film = {"scale": "smoke", "run": "video-try"}
    folder = {"scale": "smoke", "run": "folder-try", "source": str(pictures), "crop": "pad"}
    run_in_one_kernel(tmp_path, [("07_your_images", film), ("07_your_images", folder)])
    run = tmp_path / "runs" / "video-try-smoke"
    assert (tmp_path / "data" / "video-try-smoke").is_dir()
    assert {path.name for path in (run / "overlay").iterdir()} == {"puppet-000.mp4", "puppet-000-tracks.mp4"}
    assert {path.stem for path in (run / "figures").iterdir()} == {"prior", "poses", "tracks_over_time", "jitter"}
    assert (run / "doctor.json").is_file()
    assert len((run / "tracks.csv").read_text(encoding="utf8").splitlines()) == 1 + 6 * 16
    run = tmp_path / "runs" / "folder-try-smoke"
    assert len(list((run / "overlay").iterdir())) == 20
    assert {path.stem for path in (run / "figures").iterdir()} == {"prior", "poses"}
    assert not (run / "tracks.csv").exists()


def test_lifting_from_data_to_a_moving_figure(tmp_path: Path) -> None:
    folder = run_notebooks("motion", "lifting", {"scale": "smoke"}, ("08_lifting",), root=tmp_path)
    figures = {"lifting_data", "lifting_curves", "errors_by_joint", "errors_by_action", "errors_by_hidden_joints"}
    assert {path.stem for path in (folder / "figures").iterdir()} == figures
    assert "render({ model" in (folder / "motion.html").read_text(encoding="utf8")
    assert (folder / "motion.bvh").read_text(encoding="utf8").startswith("HIERARCHY")
    text = said(folder / "notebooks" / "08_lifting.ipynb")
    assert "20 steps of 8 windows" in text and "30 % hidden" in text


def test_mesh_pose_from_bodies_to_new_poses(tmp_path: Path) -> None:
    folder = run_notebooks("bodies", "meshes", {"scale": "smoke"}, ("09_mesh_pose",), root=tmp_path)
    assert "render({ model" in (folder / "transfer.html").read_text(encoding="utf8")
    text = said(folder / "notebooks" / "09_mesh_pose.ipynb")
    assert "6 steps of" in text and "drawn to training" in text


def test_lifted_motion_is_made_plausible(tmp_path: Path) -> None:
    folder = run_notebooks("motion", "motion", {"scale": "smoke"}, ("10_motion_loop",), root=tmp_path)
    assert {path.stem for path in (folder / "figures").iterdir()} == {"left_ankle"}
    assert (folder / "imitated.bvh").read_text(encoding="utf8").startswith("HIERARCHY")
    assert "bone deviation mm" in said(folder / "notebooks" / "10_motion_loop.ipynb")


def test_films_become_a_moving_character(tmp_path: Path) -> None:
    folder = run_notebooks("road", "road", {"scale": "smoke"}, ("11_from_video_to_character",), root=tmp_path)
    assert {path.stem for path in (folder / "figures").iterdir()} == {"films", "keypoints"}
    assert len(list((folder / "road").glob("film_*/character/character.glb"))) == 2
    assert "| film_01 |" in (folder / "notebooks" / "11_from_video_to_character.ipynb").read_text(encoding="utf8")


def test_every_cell_ran_and_every_notebook_shows_figures(executed: Executed) -> None:
    for path in executed.notebooks:
        assert "widgets" not in nbformat.read(path, as_version=4).metadata  # nobody could have used them
        cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        assert all(cell.execution_count for cell in cells)
        outputs = [output for cell in cells for output in cell.outputs]
        assert not [output for output in outputs if output.output_type == "error"]
        assert len([output for output in outputs if "image/png" in output.get("data", {})]) >= 4
        assert path.stat().st_size < 1_000_000
        assert str(executed.home) not in json.dumps([cell.outputs for cell in cells])


def test_a_second_run_from_nothing_says_the_same(executed: Executed, tmp_path: Path) -> None:
    checked = [cell for path in executed.notebooks for cell in nbformat.read(path, as_version=4).cells]
    assert len([cell for cell in checked if "nbval-check-output" in cell.metadata.get("tags", [])]) >= 7
    # Another home, so that data and model are made again; a kernel runs in the folder of its notebook.
    together = tmp_path / "together.ipynb"
    nbformat.write(joined(nbformat.read(path, as_version=4) for path in executed.notebooks), together)
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-current-env", "-q", "-p", "no:cacheprovider"]
    environment = {**os.environ, "PPLKIT_HOME": str(tmp_path)}
    done = subprocess.run([*command, str(together)], capture_output=True, text=True, cwd=executed.home, env=environment)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
    assert (tmp_path / "runs" / executed.run.name / "occlusion.json").is_file()


def test_the_evaluation_can_be_read(executed: Executed) -> None:
    report = executed.read("evaluation.json")
    assert (report["protocol"], report["test_images"]) == ("h36m", 16)
    assert math.isfinite(report["error"]) and 0 < report["mean_pose_error"] < 0.5
    assert report["relative_error"] == pytest.approx(report["error"] / report["mean_pose_error"])
    limbs = report["limbs_covered"]
    assert set(limbs) == {"trunk", "shoulders", "hips", "left_arm", "right_arm", "left_leg", "right_leg"}
    for share in (
        report["keypoints_on_object"],
        report["links_on_object"],
        report["skeleton_covered"],
        *limbs.values(),
    ):
        assert 0 <= share <= 1
    assert (report["films"]["films"], report["films"]["frames"]) == (2, 80)
    assert 0 < report["films"]["jitter_smooth"] < report["films"]["jitter_found"] and "lag" in report["films"]
    assert report["made_by"]["data_sha256"] == open_dataset(executed.data).sha256
    assert report["made_by"]["step"] == 40


def test_the_baselines_are_scored_beside_the_run(executed: Executed) -> None:
    result = executed.read("baselines/ablations.json")
    assert list(result["rows"]) == ["ppl", "autolink"] and result["steps"] == 40
    assert result["mean_pose"]["error"] == executed.read("evaluation.json")["mean_pose_error"]


def test_labels_in_the_run_folder_become_named_points(executed: Executed) -> None:
    result = load_landmarks(executed.run, load(executed.run))
    assert result.names == ["left hand", "right hand"] and result.label_counts.tolist() == [2, 2]
    text = said(executed.notebooks[3])
    assert "left hand        2  " in text and "There are no landmarks" not in text


def test_the_occlusion_report_has_a_row_for_each_round(executed: Executed) -> None:
    report = executed.read("occlusion.json")
    settings = [("none", 0), ("center", 4), ("center", 6), ("random", 0.1), ("random", 0.2), ("things", 0.5)]
    assert [(row["kind"], row["amount"], row["procedure"], row["iteration"]) for row in report["rows"]] == [
        (*setting, procedure, k) for setting in settings for procedure in ("published", "completed") for k in range(3)
    ]
    assert all(math.isfinite(row["error"]) for row in report["rows"]) and report["iterations"] == 2
    assert [(row["kind"], row["amount"]) for row in report["analysis"]] == settings
    assert set(report["confidence"]) == {"published", "completed"}
    assert (executed.run / "completer.safetensors").is_file()


def test_the_prior_and_the_summary_can_be_read(executed: Executed) -> None:
    prior = PosePrior.load(executed.run / "prior.json")
    assert prior.keypoints.shape == (16, 2)
    assert np.isfinite(prior.keypoints).all() and prior.connectivity.max() > 0
    assert executed.read("training.json")["steps"] == 40


def test_the_figures_are_no_empty_pages(executed: Executed) -> None:
    paths = sorted((executed.run / "figures").iterdir())
    assert {path.stem for path in paths} == FIGURES
    paths += sorted((executed.data / "figures").iterdir())
    assert [path.stem for path in paths[len(FIGURES) :]] == ["labels", "pose_spread", "samples", "videos"]
    for path in paths:
        with Image.open(path) as image:
            assert np.asarray(image.convert("L")).std() > 5, path.name


def test_pictures_without_labels_are_looked_at(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
    with DatasetWriter(tmp_path / "data" / "noise-smoke", name="noise", size=32) as writer:
        writer.add("train", images)
        writer.add("test", images[:6])
    parameters = {"dataset": "noise", "run": "noise", "scale": "smoke", "preset": "paper", "steps": 2}
    notebook = run_in_one_kernel(tmp_path, [(name, parameters) for name in NOTEBOOKS])
    run = tmp_path / "runs/noise-smoke"
    results = {name: json.loads((run / f"{name}.json").read_text("utf8")) for name in ("evaluation", "occlusion")}
    assert "error" not in results["evaluation"]
    assert results["occlusion"]["measure"] == "distance to the pose of the complete image"
    figures = {path.stem for path in (run / "figures").iterdir()}
    labelled = {
        "error_vs_mean_pose",
        "keypoint_errors",
        "best_and_worst_images",
        "object_coverage",
        "landmark_errors",
        "landmarks",
        "tracks_vs_truth",
    }
    assert figures == FIGURES - labelled
    assert "There are no landmarks yet" in printed(notebook)


def said(notebook: Path) -> str:
    """All that the cells of a notebook have printed."""
    return printed(nbformat.read(notebook, as_version=4))


def test_training_needs_no_other_notebook_and_the_later_ones_ask_for_it(tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match="03_prior_distillation stopped .* train first"):
        run_notebooks("puppets", "alone", {"scale": "smoke"}, ("03_prior_distillation",), tmp_path)
    run_notebooks("puppets", "alone", {"scale": "smoke", "steps": 1}, ("02_training",), tmp_path)
    assert (tmp_path / "runs" / "alone-smoke" / "prior.json").is_file()


def test_an_unknown_parameter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match="parameter 'stepz' is in none of the notebooks: .*steps"):
        run_notebooks("puppets", "puppets", {"stepz": 3, "scale": "smoke"}, root=tmp_path)
    assert not list(tmp_path.iterdir())


def test_published_notebooks_keep_results_and_no_traces_of_the_run(tmp_path: Path) -> None:
    new = nbformat.v4
    outputs = [new.new_output("stream", name=name, text=name) for name in ("stdout", "stderr")]
    cell = new.new_code_cell("print()", outputs=outputs, metadata={"papermill": {}, "execution": {}, "tags": []})
    given = new.new_code_cell("steps = 1", metadata={"tags": ["injected-parameters"]})
    (tmp_path / "notebooks").mkdir()
    made = new.new_notebook(cells=[given, cell], metadata={"papermill": {"duration": 1}})
    nbformat.write(made, tmp_path / "notebooks" / "a.ipynb")
    nbformat.write(made, tmp_path / "notebooks" / "b.ipynb")
    (path,) = publish(tmp_path, tmp_path, ["b"])
    result = nbformat.read(path, as_version=4)
    (only,) = result.cells
    assert [one.text for one in only.outputs] == ["stdout"] and only.metadata == {"tags": []}
    assert not result.metadata
    with pytest.raises(PplkitError, match="has no executed notebooks"):
        publish(tmp_path / "none", tmp_path)


def test_parameters_are_those_of_the_command_line() -> None:
    import papermill

    folder = Path(__file__).resolve().parents[2] / "notebooks"
    declared = {name: list(papermill.inspect_notebook(folder / f"{name}.ipynb")) for name in NOTEBOOKS}
    assert declared == {
        "01_data_preparation": ["dataset", "source", "size", "options", "scale"],
        "02_training": ["dataset", "preset", "steps", "seed", "device", "devices", "settings", "run", "scale"],
        "03_prior_distillation": ["run", "scale"],
        "04_evaluation": ["run", "baselines", "seeds", "steps", "landmarks", "to_click", "scale"],
        "05_occlusion": [
            "run",
            "center",
            "random",
            "border",
            "things",
            "occluders",
            "iterations",
            "limit",
            "completer_steps",
            "others",
            "scale",
        ],
    }
