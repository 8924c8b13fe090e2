"""Nothing in a file is executed, and nothing is written outside of its folder.

The canary is a file that exists if a hostile file had its way; a careless reader is shown to let it.
"""

import io
import os
import pickle
import subprocess
import sys
import tarfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sources import film
from torch import Tensor, nn

from data_prep.common.archives import unpack
from pplkit.core.errors import PplkitError
from pplkit.data.dataset import Dataset, open_dataset
from pplkit.data.images import read_image
from pplkit.data.label_readers import read_labels
from pplkit.data.video import frames
from pplkit.data.writer import DatasetWriter
from pplkit.experiments import report as batch_report
from pplkit.experiments.ablations import table_text
from pplkit.models.layers.perceptual import perceptual_features
from pplkit.models.prior.config import Config
from pplkit.models.released_reader import read_state

ROOT = Path(__file__).resolve().parents[2]
EVIL = '<img src=x onerror="alert(1)"><script>alert(2)</script>'


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


class Call:
    """Pickles as a call of the shell that makes the canary."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return os.system, (f"touch '{self.canary}'",)


def sings(canary: Path) -> bool:
    """Whether the canary is there; it is removed."""
    there = canary.exists()
    canary.unlink(missing_ok=True)
    return there


@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_that_calls(zipped: bool, canary: Path, tmp_path: Path) -> None:
    path = tmp_path / "evil.pt"
    torch.save({"weight": torch.zeros(1), "more": Call(canary)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(PplkitError, match=r"evil.pt is refused, nothing was run: it names posix.system") as caught:
        read_state(path)
    assert "\n" not in str(caught.value) and not sings(canary)
    torch.load(path, weights_only=False)
    assert sings(canary)


def test_weights_of_vgg_that_call(canary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = tmp_path / "hub/checkpoints/vgg16-397923af.pth"
    file.parent.mkdir(parents=True)
    torch.save({"features.0.weight": Call(canary)}, file)
    with pytest.raises(PplkitError, match="the weights of vgg16 cannot be loaded"):
        perceptual_features("vgg16", 32)
    assert not sings(canary)
    torch.load(file, weights_only=False)
    assert sings(canary)


class Scripted(nn.Module):
    """Says something as soon as it is loaded, if TorchScript loads it."""

    def forward(self, x: Tensor) -> Tensor:
        return x

    @torch.jit.export
    def __getstate__(self) -> int:
        return 0

    @torch.jit.export
    def __setstate__(self, state: int) -> None:
        print("this file ran")
        self.training = False


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning")
def test_torchscript(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    torch.jit.script(Scripted()).save(tmp_path / "script.pt")
    with pytest.raises(PplkitError, match=r"script.pt is refused, nothing was run: it holds TorchScript code"):
        read_state(tmp_path / "script.pt")
    assert "ran" not in capfd.readouterr().out
    torch.jit.load(tmp_path / "script.pt")
    assert "ran" in capfd.readouterr().out


def test_a_table_of_deeplabcut_that_calls(canary: Path, tmp_path: Path) -> None:
    """pandas pickles the names of its columns, and calls what they say."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "t.h5", "w") as file:
        table = file.create_group("df_with_missing").create_dataset("table", data=np.zeros(3))
        table.attrs["values_block_0_kind"] = np.bytes_(pickle.dumps(Call(canary), 0))
    with pytest.raises(PplkitError, match="is not a table of DeepLabCut"):
        read_labels(tmp_path / "t.h5")
    assert not sings(canary)


def test_an_array_with_pickled_objects(canary: Path, tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "toy", name="toy", size=8) as writer:
        writer.add("train", np.zeros((2, 8, 8, 3), np.uint8), videos=np.zeros(2, np.int32))
    file = tmp_path / "toy/train/videos.npy"
    np.save(file, np.array([Call(canary)], object), allow_pickle=True)
    with pytest.raises(PplkitError, match=r"videos.npy is damaged \(.*[Pp]ython objects.*prepare the data set again"):
        open_dataset(tmp_path / "toy")
    assert not sings(canary)
    np.load(file, allow_pickle=True)
    assert sings(canary)


def add(archive: tarfile.TarFile, name: str, content: bytes = b"evil", **fields: Any) -> None:
    part = tarfile.TarInfo(name)
    part.size = 0 if "type" in fields else len(content)
    for field, value in fields.items():
        setattr(part, field, value)
    archive.addfile(part, io.BytesIO(content))


@pytest.mark.parametrize("way", ["up", "link", "hard link"])
def test_an_archive_that_leaves_its_folder(way: str, canary: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        if way == "up":
            add(archive, "in/../../canary")
        elif way == "link":
            add(archive, "out", type=tarfile.SYMTYPE, linkname=str(tmp_path))
            add(archive, "out/canary")
        else:
            (tmp_path / "secret").write_text("of mine")
            add(archive, "jpg", type=tarfile.LNKTYPE, linkname=str(tmp_path / "secret"))
            add(archive, "jpg", b"changed")
    with pytest.raises(PplkitError, match=r"a.tgz cannot be unpacked \(.*: download it again"):
        unpack(tmp_path / "a.tgz", tmp_path / "out")
    assert not sings(canary) and list((tmp_path / "out").iterdir()) == []
    if way == "hard link":
        assert (tmp_path / "secret").read_text() == "of mine"
        return
    with tarfile.open(tmp_path / "a.tgz") as archive:
        (tmp_path / "out/in").mkdir()
        archive.extractall(tmp_path / "out", filter="fully_trusted")
    assert sings(canary)


def test_an_archive_is_unpacked_whole_and_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "out/jpg").mkdir(parents=True)
    (tmp_path / "out/jpg/old").touch()
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        add(archive, "jpg", type=tarfile.DIRTYPE)
        add(archive, "./jpg/ü.txt", b"new")
    unpack(tmp_path / "a.tgz", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").rglob("*")] == ["jpg", "ü.txt"]
    assert (tmp_path / "out/jpg/ü.txt").read_text() == "new"


def test_postscript_under_the_name_of_a_picture(canary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow hands it to Ghostscript, which is a language that can write files."""
    program = tmp_path / "bin/gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch '{canary}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)  # it is looked for again
    Image.new("RGB", (8, 8)).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.png")
    with pytest.raises(PplkitError, match="a.png cannot be read as an image"):
        read_image(tmp_path / "a.png")
    assert not sings(canary)
    with Image.open(tmp_path / "a.png") as image, pytest.raises(OSError):
        image.load()
    assert sings(canary)


def test_a_list_of_films_under_the_name_of_one(tmp_path: Path) -> None:
    import av

    film(tmp_path / "secret.avi", 5)
    (tmp_path / "a.mp4").write_text("ffconcat version 1.0\nfile secret.avi\n")
    with pytest.raises(PplkitError, match="a.mp4 cannot be read as a video"):
        list(frames(tmp_path / "a.mp4", 0.0, None, None, threads=1))
    with av.open(str(tmp_path / "a.mp4"), options={"protocol_whitelist": "file"}) as container:
        assert sum(1 for _ in container.decode(video=0)) == 5  # a careless reader shows what is in the other file


class Tags(HTMLParser):
    """The tags of a page, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, set[str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, {name for name, _ in attrs}))


def test_html_in_names_is_shown_and_not_obeyed(tmp_path: Path) -> None:
    one = batch_report.Outcome(EVIL, EVIL, 0, tmp_path / "run", "failed", EVIL, 1.0, (EVIL,))
    tags = Tags(batch_report.page_of(tmp_path, [one], [{"protocol": EVIL}])).seen
    assert tags and {tag for tag, _ in tags}.isdisjoint({"script", "img"})
    assert not any(name.startswith("on") for _, names in tags for name in names)
    row = {"error": {"mean": 0.1, "std": None}, "diverged": 0, "published": "none"}
    result = {"data": EVIL, "protocol": "cub", "steps": 1, "seeds": [0], "mean_pose": {"error": 0.1, f"e {EVIL}": 0.1}}
    shown = table_text({**result, "rows": {"[a](javascript:x) | `b` $c$": {**row, f"e {EVIL}": row["error"]}}})
    assert "<" not in shown and "\\[a\\](javascript:x) \\| \\`b\\` \\$c\\$" in shown


GUARD = """
import json, os, sys
seen = []
sys.addaudithook(lambda event, given: seen.append((event, given)) if event.startswith("socket.") else None)
import numpy as np
import pplkit
config = pplkit.Config.from_dict(json.loads(sys.argv[3])).replace(steps=2)
pplkit.train(config, pplkit.open_dataset(sys.argv[1]), sys.argv[2], device="cpu", bar=False)
pplkit.load(sys.argv[2]).estimate(np.zeros((1, 32, 32, 3), np.uint8))
assert not [one for one in seen if one[0] != "socket.gethostname"], seen
files = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
assert not [file for file in files if os.path.lexists(file) and os.readlink(file).startswith("socket:")]
"""


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the system does not say what a process has open")
def test_importing_training_and_estimating_open_no_connection(puppets: Dataset, tiny: Config, tmp_path: Path) -> None:
    given = [str(puppets.path), str(tmp_path / "run"), tiny.to_json()]
    done = subprocess.run([sys.executable, "-c", GUARD, *given], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
