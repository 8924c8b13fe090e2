"""Modules of version 0.1.0 are imported under their old names."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from pplkit.core.old_names import MODULES, new_modules

ROOMS = {"cli", "evaluation", "experiments", "geometry", "inference", "training"}  # packages of the same names now
GONE = {"unpickling"}
OLD = set((Path(__file__).resolve().parents[1] / "fixtures_0_1_0" / "modules.txt").read_text().split())


@pytest.mark.parametrize("name", sorted(OLD - GONE - ROOMS))
def test_an_old_module_has_the_names_of_the_new_ones(name: str) -> None:
    old, targets = import_module(f"pplkit.{name}"), new_modules(f"pplkit.{name}")
    for target in targets:
        public = {key for key in vars(import_module(target)) if not key.startswith("__") or key == "__version__"}
        assert public and public <= vars(old).keys()


def test_the_table_has_old_modules_alone() -> None:
    assert MODULES.keys() == OLD - GONE - ROOMS


def test_rooms_of_an_old_name_have_its_public_names() -> None:
    code = (
        "from pplkit.training import train; from pplkit.evaluation import Score, evaluate, mean_pose_error; "
        "from pplkit.inference import estimate_files, write_poses; from pplkit.experiments import occlusion_report; "
        "from pplkit.cli import main; from pplkit.runs import RunFolder, load; from pplkit import plots"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_another_name_is_still_unknown() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"pplkit\.nothing"):
        import_module("pplkit.nothing")
