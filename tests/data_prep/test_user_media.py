"""A user's own videos and images: what a source is, and videos to try with."""

from pathlib import Path

import pytest
from PIL import Image

from data_prep.user_media import check_name, film_puppets, kind_of_source
from pplkit.core.errors import PplkitError


def test_kinds_of_sources(tmp_path: Path) -> None:
    videos = film_puppets(tmp_path / "films", "smoke")
    first = sorted(videos.iterdir())[0]
    before = first.stat().st_mtime_ns
    assert len(list(videos.iterdir())) == 6
    assert film_puppets(tmp_path / "films", "smoke") == videos and first.stat().st_mtime_ns == before
    assert kind_of_source(videos) == kind_of_source(first) == "video"
    (tmp_path / "images").mkdir()
    Image.new("RGB", (30, 20)).save(tmp_path / "images" / "a.png")
    assert kind_of_source(tmp_path / "images") == "folder"


def test_a_source_that_is_neither_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(PplkitError, match="notes.txt does not have the file name of a video"):
        kind_of_source(tmp_path / "notes.txt")
    with pytest.raises(PplkitError, match="holds no image or video"):
        kind_of_source(tmp_path)


@pytest.mark.parametrize(
    ("name", "kind", "source", "message"),
    [
        (
            "folder-mice",
            "folder",
            "clip.mp4",
            "clip.mp4 is a video: call the data set video-mice instead",
        ),
        ("folder", "folder", "clips", "clips holds videos: call the data set video instead of folder"),
        (
            "video-roses",
            "video",
            "photos",
            "photos holds images: call the data set folder-roses instead",
        ),
        ("roses", None, "photos", "photos holds images: call the data set folder-roses instead of roses"),
    ],
)
def test_the_name_to_use_is_said(
    name: str, kind: str | None, source: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for file in ("clip.mp4", "clips/a.mp4", "photos/a.png"):
        Path(file).parent.mkdir(exist_ok=True)
        Path(file).touch()
    with pytest.raises(PplkitError, match=message):
        check_name(name, kind, source)
    check_name(name, "cub", source)
    check_name(name, kind, "")
