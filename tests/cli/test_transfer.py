"""`pplkit transfer` from files to files, and one sentence for each kind of broken mesh."""

from pathlib import Path

import numpy as np
import pytest
from broken_meshes import BROKEN
from solids import bent, torus

from pplkit import cli
from pplkit.data.mesh_writers import write_obj, write_obj_series
from pplkit.data.meshes import read_mesh

REST, FACES = torus()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_obj(tmp_path / "rest.obj", REST, FACES)
    write_obj(tmp_path / "wave.obj", bent(REST), FACES)
    write_obj(tmp_path / "jump.obj", REST + [0, 0, 0.2], FACES)
    write_obj(tmp_path / "target.obj", 100 * REST, FACES)
    return tmp_path


def transfer(*words: str, target: str = "target.obj", out: str = "posed") -> int:
    return cli.main(["transfer", "nearest-face", *words, "--rest", "rest.obj", "--to", target, "--out", out])


def test_poses_come_out_under_their_names(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert transfer("wave.obj", "jump.obj") == 0
    printed = capsys.readouterr().out
    assert "rest.obj is 0.8091 large, probably meters." in printed and "target.obj in 2 poses: posed." in printed
    assert sorted(path.name for path in (here / "posed").iterdir()) == ["jump.obj", "wave.obj"]
    assert read_mesh(here / "posed" / "wave.obj").vertices == pytest.approx(100 * bent(REST), abs=1e-6)
    assert transfer("wave.obj", out="one.glb") == 0 and (here / "one.glb").stat().st_size > 2000
    write_obj_series(here / "walk", np.stack([REST, bent(REST), REST]), FACES)
    assert transfer("walk", out="walked") == 0
    assert sorted(path.name for path in (here / "walked").iterdir()) == ["00000.obj", "00001.obj", "00002.obj"]


def test_pins_turns_and_landmarks_are_handed_over(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def record(*given: object, **named: object) -> None:
        calls.append((given, named))
        raise KeyboardInterrupt

    monkeypatch.setattr("pplkit.inference.mesh_transfer.transfer_pose", record)
    line = ["--landmarks", "a.json", "b.json", "--turn=x,-z,y", "--ground", "z", "--pin", "3=1,2,-3", "4=0,0,0.5"]
    assert transfer("wave.obj", *line) == 130
    ((given, named),) = calls
    assert given[:4] == ("nearest-face", Path("rest.obj"), Path("wave.obj"), Path("target.obj"))
    assert given[4:] == ((Path("a.json"), Path("b.json")),)
    assert named == {"turn": "x,-z,y", "ground": "z", "pins": {3: [1, 2, -3], 4: [0, 0, 0.5]}}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["wave.obj", "--pin", "3=1,2"], "--pin 3=1,2 is no pin: write a vertex and its place"),
        (["wave.obj", "--pin", "999=1,2,3"], "pins name vertex 999 of target.obj: it has 0 to 83."),
        (["wave.obj", "--turn", "y"], "'y' is no turn of axes"),
        (["wave.obj", "--ground", "up"], "ground is 'up'"),
        (["wave.obj", "--fps", "0"], "--fps is 0"),
        (["none.obj"], "none.obj does not exist"),
        (["wave.obj", "--landmarks", "a.json", "b.json"], "a.json does not exist: write the landmarks again."),
    ],
)
def test_wrong_options_give_one_sentence(
    words: list[str], sentence: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert transfer(*words) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"pplkit: {sentence}") and message.count("\n") == 1
    assert not (here / "posed").exists()


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("role", ["target", "rest", "pose"])
def test_broken_files_give_one_sentence(kind: str, role: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, content, _ = BROKEN[kind]
    broken = here / f"broken{Path(name).suffix}"
    broken.write_bytes(content)
    files = {"target": "target.obj", "rest": "rest.obj", "pose": "wave.obj", role: broken.name}
    line = ["transfer", "nearest-face", files["pose"], "--rest", files["rest"], "--to", files["target"]]
    assert cli.main([*line, "--out", "posed"]) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"pplkit: {broken.name} ") or f" {broken.name}" in message
    assert message.endswith(".\n") and message.count("\n") == 1 and not (here / "posed").exists()
