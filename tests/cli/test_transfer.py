"""`pplkit transfer` and `generate` from files to files, and one sentence for each kind of broken mesh."""

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from broken_meshes import BROKEN
from solids import bent, torus

from pplkit import cli
from pplkit.data.mesh_sets import posed_mesh
from pplkit.data.mesh_writers import write_obj, write_obj_series
from pplkit.data.meshes import read_mesh
from pplkit.data.video import readable
from pplkit.models.mesh import MeshConfig
from pplkit.training import train_mesh

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
    assert transfer("wave.obj", "jump.obj", out="two.mp4") == 0
    assert "in 2 poses: two.mp4, with the mesh's y up." in capsys.readouterr().out
    with closing(readable(here / "two.mp4")) as shots:
        assert len(list(shots)) == 2
    write_obj_series(here / "walk", np.stack([REST, bent(REST), REST]), FACES)
    assert transfer("walk", out="walked") == 0
    assert sorted(path.name for path in (here / "walked").iterdir()) == ["00000.obj", "00001.obj", "00002.obj"]


def test_pins_turns_and_landmarks_are_handed_over(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def record(*given: object, **named: object) -> None:
        calls.append((given, named))
        raise KeyboardInterrupt

    monkeypatch.setattr("pplkit.inference.mesh_transfer.transfer_pose", record)
    line = [
        "--landmarks",
        "a.json",
        "b.json",
        "--turn=x,-z,y",
        "--ground",
        "z",
        "--up=-y",
        "--refine",
        "7",
        "--pin",
        "3=1,2,-3",
        "4=0,0,0.5",
    ]
    assert transfer("wave.obj", *line) == 130
    ((given, named),) = calls
    assert given[:4] == ("nearest-face", Path("rest.obj"), Path("wave.obj"), Path("target.obj"))
    assert given[4:] == ((Path("a.json"), Path("b.json")),)
    pins = {3: [1, 2, -3], 4: [0, 0, 0.5]}
    assert named == {"turn": "x,-z,y", "ground": "z", "up": "-y", "refine": 7, "pins": pins}


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["wave.obj", "--pin", "3=1,2"], "--pin 3=1,2 cannot be read: write a vertex and its place"),
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


def trained(folder: Path) -> None:
    """A run in which a torus has learned to stretch and to bend."""
    poses = np.stack([bent(REST) * [1 + 0.1 * number, 1, 1] for number in range(4)])
    config = MeshConfig.preset("mesh-small").replace(steps=2, patches=12, batch_size=2)
    data = posed_mesh(REST, FACES, poses, None, "a torus")
    train_mesh(config, data, folder, device="cpu", bar=False, threads=1)


def test_a_trained_run_gives_poses_and_makes_new_ones(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained(here / "run")
    line = ["transfer", "run", "wave.obj", "--rest", "rest.obj", "--to", "target.obj", "--out", "posed"]
    assert cli.main(line) == 0
    moved, wanted = read_mesh(here / "posed" / "wave.obj").vertices / 100, bent(REST)
    assert np.linalg.norm(moved - wanted, axis=1).mean() < 0.7 * np.linalg.norm(REST - wanted, axis=1).mean()
    capsys.readouterr()
    assert cli.main(["generate", "run", "--count", "2", "--out", "made"]) == 0
    assert capsys.readouterr().out == "2 new poses: made.\n"
    made = [read_mesh(here / "made" / f"0000{number}.obj").vertices for number in range(2)]
    assert made[0].shape == REST.shape and np.abs(made[0] - made[1]).max() > 1e-3
    assert cli.main(["generate", "run", "--count", "1", "--to", "target.obj", "--out", "other.glb"]) == 0
    assert "1 new pose: other.glb, with the mesh's y up." in capsys.readouterr().out
    for words, sentence in (
        (["--landmarks", "marks.json"], "--landmarks are those of another mesh: name it with --to."),
        (["--to", "target.obj", "--landmarks", "marks.json"], "run was trained without landmarks: leave out"),
        (["--count", "0"], "count=0 is too small"),
    ):
        assert cli.main(["generate", "run", *words, "--out", "more"]) == 2
        assert sentence in capsys.readouterr().err


def test_a_diffusion_learns_the_codes_of_a_run_and_makes_poses(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trained(here / "run")
    settings = ["--preset", "mesh-diffusion-small", "--set", "width=8", "layers=1", "noise_steps=4", "steps=2"]
    assert cli.main(["train", "run", "diffusion", *settings, "--device", "cpu"]) == 0
    assert "The diffusion is in diffusion; `pplkit generate` will use it." in capsys.readouterr().out
    assert cli.main(["generate", "diffusion", "--count", "1", "--to", "target.obj", "--out", "made"]) in (0, 2)
    assert cli.main(["train", "nothing", "other", *settings, "--device", "cpu"]) == 2
    assert "there is no run 'nothing' of mesh pose: train mesh pose to its end first." in capsys.readouterr().err
    (here / "run").rename(here / "moved")
    assert cli.main(["generate", "diffusion", "--out", "made"]) == 2
    assert "which is missing: move both together." in capsys.readouterr().err
