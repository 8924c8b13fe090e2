"""The commands that take a trained model to images and videos hand over what they were given."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from pplkit import cli
from pplkit.inference.estimate import Estimator

Calls = list[tuple[Any, ...]]


LOOKS: Any = "looks of runs/first/landmarks.safetensors"


class Loaded(NamedTuple):
    """What a model is loaded from, and its device."""

    run: Path
    device: str = "cpu"
    crop: str = "center"


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models are the run and the device that they would be loaded from and to."""
    monkeypatch.setattr("pplkit.training.load", Loaded)
    monkeypatch.setattr("pplkit.inference.landmarks.fitting.load_landmarks", lambda run, model: f"landmarks of {run}")
    monkeypatch.setattr("pplkit.inference.landmarks.landmark_head.load_head", lambda path, *given: f"looks of {path}")


def test_estimate_hands_over_what_was_given(loaded: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Calls = []
    monkeypatch.setattr(
        "pplkit.inference.estimate.write_poses", lambda *given, **named: calls.append((*given, named)) or 7
    )
    out = tmp_path / "poses.json"
    line = ["estimate", "runs/first", "a.png", "b.mp4", "--out", str(out), "--iterations", "4"]
    more = ["--crop", "pad", "--procedure", "published", "--batch-size", "8", "--device", "cpu", "--quiet", "--named"]
    assert cli.main(line) == 0 and cli.main([*line, *more]) == 0
    plain = Estimator(Loaded(Path("runs/first"), "auto"), 4)  # type: ignore[arg-type]
    named = Estimator(Loaded(Path("runs/first")), 4, "pad", "published", 8, "landmarks of runs/first", LOOKS)  # type: ignore[arg-type]
    paths = [Path("a.png"), Path("b.mp4")]
    assert calls == [(plain, paths, out, {"bar": True}), (named, paths, out, {"bar": False})]


def test_estimate_draws(loaded: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Calls = []
    monkeypatch.setattr("pplkit.inference.estimate.write_poses", lambda *given, **named: 7)
    monkeypatch.setattr("pplkit.viz.overlay.pose_images", lambda *given, **named: calls.append((*given, named)) or [])
    line = ["estimate", "runs/first", "a.png", "--out", str(tmp_path / "p.csv"), "--draw", str(tmp_path / "d")]
    assert cli.main([*line, "--iterations", "4", "--crop", "pad"]) == 0
    ((model, paths, out, crop, options),) = calls
    assert (paths, out, crop) == ([Path("a.png")], tmp_path / "d", "pad")
    assert options == {"iterations": 4, "procedure": None, "landmarks": None, "head": None}
    assert model == Loaded(Path("runs/first"), "auto")


def test_track_hands_over_what_was_given(loaded: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Calls = []

    def call(name: str, result: Any) -> Any:
        return lambda *given, **named: calls.append((name, *given, named)) or result

    for name, result in {
        "inference.tracking.track": "t",
        "inference.tracking.write_tracks": None,
        "viz.overlay.track_video": None,
    }.items():
        monkeypatch.setattr(f"pplkit.{name}", call(name, result))
    monkeypatch.setattr("pplkit.inference.tracking.summary", lambda tracks: ["2 frames"])
    out, video = tmp_path / "t.csv", tmp_path / "t.mp4"
    line = ["track", "runs/first", "a.mp4", "--out", str(out)]
    assert cli.main(line) == 0
    more = f"--video {video} --smooth 0 --gap 3 --least 0.5 --named --crop pad --quiet".split()
    assert cli.main([*line, *more]) == 0
    model: Any = Loaded(Path("runs/first"), "auto")
    plain, named = Estimator(model), Estimator(model, crop="pad", landmarks="landmarks of runs/first", head=LOOKS)  # type: ignore[arg-type]
    options = {"smoothing": 0.0, "gap": 3, "least": 0.5, "bar": False}
    assert calls == [
        ("inference.tracking.track", plain, Path("a.mp4"), {"bar": True}),
        ("inference.tracking.write_tracks", out, "t", {}),
        ("inference.tracking.track", named, Path("a.mp4"), options),
        ("inference.tracking.write_tracks", out, "t", {}),
        ("viz.overlay.track_video", model, Path("a.mp4"), video, "t", {}),
    ]


def test_landmarks_are_suggested_or_fitted(
    loaded: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: Calls = []
    data = {"test": SimpleNamespace(sources=["zero", "one", "two"])}
    monkeypatch.setattr("pplkit.training.run_folder.data_of", lambda folder: data)
    monkeypatch.setattr("pplkit.inference.landmarks.fitting.suggest", lambda *given: [2, 0])
    assert cli.main(["landmarks", str(tmp_path), "--suggest", "2", "--split", "test"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["2  two", "0  zero"]
    made = SimpleNamespace(save=lambda path: calls.append(("save", path)))
    monkeypatch.setattr("pplkit.inference.landmarks.fitting.name_landmarks", lambda *given: calls.append(given) or made)
    monkeypatch.setattr("pplkit.inference.landmarks.fitting.summary", lambda landmarks: ["so good"])
    assert cli.main(["landmarks", str(tmp_path)]) == 0
    assert cli.main(["landmarks", str(tmp_path), "mine.csv", "--device", "cpu"]) == 0
    assert calls == [
        (Loaded(tmp_path, "auto"), data, tmp_path / "landmarks.csv", "train"),
        ("save", tmp_path / "landmarks.json"),
        (Loaded(tmp_path), data, Path("mine.csv"), "train"),
        ("save", tmp_path / "landmarks.json"),
    ]
    assert "so good" in capsys.readouterr().out


def test_landmarks_learn_looks_where_asked(
    loaded: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "landmarks.safetensors"
    head = SimpleNamespace(save=lambda path, landmarks: path.write_text(landmarks.name))
    landmarks = SimpleNamespace(save=lambda path: None, name="the map")
    for name, value in {"name_landmarks": landmarks, "summary": [], "labeled_images": "images"}.items():
        monkeypatch.setattr(f"pplkit.inference.landmarks.fitting.{name}", lambda *given, value=value: value)
    monkeypatch.setattr("pplkit.training.run_folder.data_of", lambda folder: {})
    fits = iter([SimpleNamespace(head=head, summary=lambda: "they count"), SimpleNamespace(head=None, summary=str)])
    monkeypatch.setattr("pplkit.inference.landmarks.landmark_head.fit_head", lambda *given: next(fits))
    assert cli.main(["landmarks", str(tmp_path), "--looks"]) == 0
    assert kept.read_text() == "the map" and "they count" in capsys.readouterr().out
    assert cli.main(["landmarks", str(tmp_path)]) == 0  # a head goes with the map that it corrects
    assert not kept.exists()
    assert cli.main(["landmarks", str(tmp_path), "--looks"]) == 0 and not kept.exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("estimate nowhere a.png --out no/poses.json", "the folder no of --out does not exist"),
        ("estimate nowhere a.png --out poses.txt", "--out poses.txt does not end in .json or .csv"),
        ("track nowhere a.mp4 --out no/t.csv", "the folder no of --out does not exist"),
        ("track nowhere a.mp4 --out t.json", "--out t.json does not end in .csv"),
        ("track nowhere a.mp4 --out t.csv --video t.gif", "--video t.gif does not end in .mp4"),
        ("track nowhere a.mp4 --out t.csv --video ./a.mp4", "a.mp4 is the video to draw over"),
    ],
)
def test_a_wrong_file_to_write_is_found_before_anything_is_loaded(
    line: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.mp4").write_bytes(b"a video")
    assert cli.main(line.split()) == 2
    assert Path("a.mp4").read_bytes() == b"a video"
    assert message in capsys.readouterr().err
