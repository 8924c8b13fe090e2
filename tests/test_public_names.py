"""The names that `import pplkit` gives: each has an example, and the examples are run."""

import doctest
import json
from pathlib import Path
from shutil import copytree
from types import ModuleType

import numpy as np
import pytest
import torch
from lifters import tiny_lifter
from parity.deterministic import official_state
from PIL import Image
from solids import bent, torus
from strides import lifted, walk
from trainings import trained

import pplkit
from pplkit.data.dataset import Dataset
from pplkit.data.mesh_writers import write_obj
from pplkit.data.sequences import read_sequence
from pplkit.data.skeletons import COCO17, standing_pose
from pplkit.models.prior.config import Config
from pplkit.models.prior.outputs import Poses

EXPLAINED = [name for name in pplkit.__all__ if name != "__version__"]


def photo(seed: int, width: int = 48, height: int = 40) -> Image.Image:
    """Smooth, so that its JPEG is nearly the same, and unlike the others."""
    small = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BILINEAR)


def write_keypoints(path: Path) -> None:
    """A table of somebody who stands, five frames of coco17."""
    points = np.tile(4 * standing_pose(COCO17) + 100, (5, 1, 1)).reshape(5, -1)
    head = ",".join(f"{joint}_{axis}" for joint in COCO17.joints for axis in "xy")
    np.savetxt(path, points, "%.1f", delimiter=",", header=head, comments="")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, puppets: Dataset, tiny: Config) -> Path:
    """A working folder with photographs, a data set and a run."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "photos").mkdir()
    for number in range(26):
        photo(number).save(folder / "photos" / f"{number:02d}.jpg")
    photo(99).save(folder / "bird.jpg")
    rest, faces = torus()
    for name, points in (("rest", rest), ("pose", bent(rest)), ("target", 100 * rest)):
        write_obj(folder / f"{name}.obj", points, faces)
    lifted(walk(20)).write(folder / "walk.npz")
    copytree(puppets.path, folder / "data" / "puppets")
    trained(tiny, pplkit.open_dataset(folder / "data" / "puppets"), folder / "runs" / "puppets")
    tiny_lifter(folder / "runs" / "lift")
    write_keypoints(folder / "poses.csv")
    return folder


@pytest.fixture
def here(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(project)
    monkeypatch.setenv("PPLKIT_HOME", str(project))
    return project


def run_examples(value: object, name: str, count: int) -> None:
    names = {
        "pplkit": pplkit, "read_sequence": read_sequence, "np": np, "torch": torch,
        "model": pplkit.load("runs/puppets"), "data": pplkit.open_dataset("data/puppets"),
    }  # fmt: skip
    examples = [test for test in doctest.DocTestFinder(recurse=False).find(value, name, globs=names) if test.examples]
    assert len(examples) == count
    runner, report = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS), list[str]()
    for test in examples:
        runner.run(test, out=report.append)
    assert runner.failures == 0, "".join(report)


@pytest.mark.parametrize("name", EXPLAINED)
def test_each_public_name_has_an_example_that_runs(name: str, here: Path) -> None:
    if name == "load_official":
        torch.save(official_state(), here / "released.pt")
    run_examples(getattr(pplkit, name), name, 1)


@pytest.mark.parametrize("method", [pplkit.PosePriorLearner.estimate, Poses, Poses.draw, Poses.export])
def test_methods_of_the_first_hour_have_examples(method: object, here: Path) -> None:
    run_examples(method, "method", 1)


def test_own_images_to_drawn_poses_and_coco_in_one_import(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny: Config
) -> None:
    """The example of `help(pplkit)`, eight lines with the import, on settings that take no time."""
    small = tiny.replace(reference="masked", mask_ratio=0.5, image_size=32)
    monkeypatch.setattr(Config, "preset", lambda name: small)
    monkeypatch.setattr("data_prep.registry.PRESETS", {"photographs": {"image_size": 32}})
    monkeypatch.setenv("PPLKIT_HOME", str(tmp_path))
    assert str(pplkit.__doc__).count("\n>>> ") == 7
    quiet = ModuleType("pplkit", str(pplkit.__doc__).replace('data, "runs/photos")', 'data, "runs/photos", bar=False)'))
    run_examples(quiet, "pplkit", 1)
    content = json.loads((here / "poses.json").read_text())
    assert len(content["images"]) == len(content["annotations"]) == 26
    assert content["images"][0]["file_name"].endswith("photos/00.jpg") and content["images"][0]["width"] == 48
    assert Image.open(here / "poses.png").size == (1024, 1024)


def test_only_public_names_are_listed() -> None:
    assert dir(pplkit) == sorted(pplkit.__all__)


def test_help_explains_each_setting_with_its_range() -> None:
    lines = [line.strip() for line in str(Config.__doc__).splitlines()]
    for name, value in Config().to_dict().items():
        (line,) = (line for line in lines if line.startswith(f"{name} = "))
        assert line.startswith(f"{name} = {value!r} (") and len(line.partition("): ")[2]) > 2
    assert "image_size = 128 (32 to 8192): side in pixels, a multiple of 16" in lines
