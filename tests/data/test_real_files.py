"""Files that people really have: what was read wrong once, and further ones of the same kinds."""

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import damaged_media
import numpy as np
import pytest
from damaged_media import DAMAGES, IMAGES, VIDEOS, outcome, painted, shown
from moving import standing
from PIL import Image

from data_prep import folder, video
from pplkit import cli
from pplkit.core.errors import PplkitError
from pplkit.data.dataset import open_dataset
from pplkit.data.images import ignored_files, page_count, read_image, read_pages, read_reduced, upright_size
from pplkit.data.reader import FrameSource, is_video
from pplkit.data.video import frame_table, frames
from pplkit.data.video_writer import write_video


def scene(number: int = 0, width: int = 96, height: int = 64) -> np.ndarray:
    """An image that looks different however it is turned or mirrored."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:20, :30] = (250, 40, 40)
    pixels[-16:, : width // 2] = (40, 220, 60)
    pixels[height // 2 :, -10:] = (60, 60, 240)
    return np.roll(pixels, 2 * number, 1)


def pixels_of(path: Path) -> np.ndarray:
    return np.stack([np.asarray(image) for _, image in frames(path, 0.0, None, None)]).astype(float)


MATRICES = {  # a, b, c, d of the display matrix, and the array that is stored so that `scene` is shown
    (1, 0, 0, 1): lambda x: x,
    (-1, 0, 0, 1): lambda x: x[:, ::-1],
    (1, 0, 0, -1): lambda x: x[::-1],
    (-1, 0, 0, -1): lambda x: x[::-1, ::-1],
    (0, 1, 1, 0): lambda x: x.transpose(1, 0, 2),
    (0, 1, -1, 0): lambda x: np.rot90(x),  # stored a quarter to the left, shown a quarter to the right
    (0, -1, 1, 0): lambda x: np.rot90(x, -1),
    (0, -1, -1, 0): lambda x: x[::-1, ::-1].transpose(1, 0, 2),
}


@pytest.mark.parametrize("matrix", MATRICES)
def test_every_display_matrix_is_undone(matrix: tuple[int, int, int, int], tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    write_video(path, [np.ascontiguousarray(MATRICES[matrix](scene(n))) for n in range(3)], 10)
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 4 + 40  # version 0: after flags, times, track, duration, layer and volume
    a, b, c, d = (value << 16 for value in matrix)
    content[start : start + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    assert np.abs(pixels_of(path) - np.stack([scene(n) for n in range(3)])).mean() < 6


@pytest.mark.parametrize("orientation", [0, 9, 256, 65535])
def test_orientations_that_do_not_exist_mean_nothing(orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "o.jpg"
    Image.fromarray(scene()).save(path, exif=exif)
    assert (
        upright_size(path) == (96, 64) and read_reduced(path, 16)[1] == (96, 64) and read_image(path).size == (96, 64)
    )


@pytest.mark.parametrize(
    ("values", "largest"),
    [(np.linspace(0, 0.85, 64), 217), (np.linspace(0, 200, 64), 200), (np.linspace(0, 65535, 64), 255)],
)
def test_floats_are_read_by_their_range(values: np.ndarray, largest: int, tmp_path: Path) -> None:
    Image.fromarray(values.astype(np.float32).reshape(8, 8)).save(tmp_path / "f.tif")
    assert np.asarray(read_image(tmp_path / "f.tif")).max() == largest


@pytest.mark.parametrize(("largest", "noticed"), [(3500, True), (1000, True), (40_000, False)])
def test_images_that_use_a_tenth_of_their_range_are_noticed(
    largest: int, noticed: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cameras of 12 and 10 bits, and one that uses all 16."""
    (tmp_path / "in").mkdir()
    for number in range(4):
        pixels = np.random.default_rng(number).integers(0, largest, (40, 40)).astype(np.uint16)
        Image.fromarray(pixels).save(tmp_path / "in" / f"{number}.png")
    folder.prepare(tmp_path / "in", tmp_path / "out", 32)
    assert ("the brightest value of all images is" in capsys.readouterr().err) == noticed


@pytest.mark.parametrize(("ending", "codec"), [("h264", "libx264"), ("mjpeg", "mjpeg"), ("m1v", "mpeg1video")])
def test_a_raw_stream_without_times_has_as_many_frames_as_asked_for(ending: str, codec: str, tmp_path: Path) -> None:
    import av

    path = tmp_path / f"raw.{ending}"
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream(codec, rate=25)
        stream.width, stream.height = 96, 64
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number in range(40):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(scene(number), format="rgb24")))
        file.mux(stream.encode())
    assert len(frame_table(path).times(None, 0.0, None)) == 40
    data = open_dataset(video.prepare(path, tmp_path / "out", 32, frames=10, crop="center"))
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 8, "test": 2}


def save_pages(path: Path) -> Path:
    pages = [Image.fromarray(scene(number)) for number in range(5)]
    pages[0].save(path, save_all=True, append_images=pages[1:], duration=200, lossless=True)
    return path


@pytest.mark.parametrize("ending", ["gif", "webp", "tif"])
def test_the_pages_of_an_image_file_are_frames(ending: str, tmp_path: Path) -> None:
    path = save_pages(tmp_path / f"a.{ending}")
    assert page_count(path) == 5 and is_video(path)
    shots = list(FrameSource([path], 32, "pad"))
    assert [shot.number for shot in shots] == list(range(5)) and len(FrameSource([path], 32)) == 5
    for number, (_, image) in enumerate(read_pages(path)):
        assert np.abs(np.asarray(image).astype(float) - scene(number)).mean() < 8  # a GIF has few colors
    if ending != "tif":
        assert [shot.seconds for shot in shots] == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])


@pytest.mark.parametrize("endings", [("gif",), ("webp", "tif")])
def test_the_pages_of_a_file_in_a_folder_are_one_video(endings: Sequence[str], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(6):
        save_pages(tmp_path / "in" / f"{number}.{endings[number % len(endings)]}")
        Image.fromarray(scene(5 * number)).save(tmp_path / "in" / f"{number}.png")
    data = open_dataset(folder.prepare(tmp_path / "in", tmp_path / "out", 32, test_share=0.3, duplicates="ignore"))
    files = [{source.split(" frame ")[0] for source in split.sources} for split in data.splits.values()]
    assert not files[0] & files[1] and len(files[0] | files[1]) == 12 and sum(map(len, data.splits.values())) == 36
    for split in data.splits.values():
        assert split.videos is not None
        pages = {(source.split(" frame ")[0], int(v)) for source, v in zip(split.sources, split.videos, strict=True)}
        assert len(pages) == len(set(split.videos.tolist())) and np.all(np.diff(split.videos) >= 0)
        assert [source for source in split.sources if "frame" in source][-1].endswith("frame 4")


def test_the_object_of_a_file_with_pages_is_followed(tmp_path: Path) -> None:
    pages, corners = standing(20)
    (tmp_path / "in").mkdir()
    first, *others = map(Image.fromarray, pages)
    first.save(tmp_path / "in" / "a.tif", save_all=True, append_images=others)
    train = open_dataset(folder.prepare(tmp_path / "in", tmp_path / "out", 28, crop="object"))["train"]
    assert len(train) == 20 and train.images[:][:, 10:18, 10:18].min() > 150  # the bright square is in the middle


def test_labels_belong_to_the_page_they_name_or_to_the_first(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    save_pages(tmp_path / "in" / "a.tif")
    save_pages(tmp_path / "in" / "b.gif")
    labels = tmp_path / "labels.csv"
    labels.write_text("file,name,x,y,visible\na.tif,nose,30,20,1\nb.gif frame 3,nose,40,20,1\n")
    for crop, count in (("pad", 10), ("labels", 2)):
        data = open_dataset(folder.prepare(tmp_path / "in", tmp_path / crop, 32, labels, crop, test_share=0, margin=9))
        train = data["train"]
        assert train.visible is not None and len(train) == count
        assert [source for source, visible in zip(train.sources, train.visible[:, 0], strict=True) if visible] == [
            "a.tif frame 0", "b.gif frame 3",
        ]  # fmt: skip


def test_a_label_outside_of_one_page_costs_that_page_alone(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    save_pages(tmp_path / "in" / "a.tif")
    labels = tmp_path / "labels.csv"
    labels.write_text("file,name,x,y,visible\na.tif frame 1,nose,3000,20,1\na.tif frame 3,nose,40,20,1\n")
    data = open_dataset(folder.prepare(tmp_path / "in", tmp_path / "out", 32, labels, "pad", test_share=0))
    train = data["train"]
    assert train.visible is not None and train.sources == [f"a.tif frame {number}" for number in (0, 2, 3, 4)]
    assert train.visible[:, 0].tolist() == [False, False, True, False]
    assert "a.tif frame 1 has a label at (3000, 20), outside its" in data.dropped[0][1]


def test_files_with_other_endings_are_counted(tmp_path: Path) -> None:
    for name in ("a.png", "b.HEIC", "c.heic", "d.txt", ".hidden"):
        (tmp_path / name).write_bytes(b"x")
    sentence = ignored_files(tmp_path, {".png"})
    assert (
        "3 files with other endings are left out" in sentence
        and "2 .heic (pip install pillow-heif, or save them as JPEG), 1 .txt" in sentence
    )
    assert "3 files" not in ignored_files(tmp_path, {".png", ".heic", ".txt"})


@pytest.mark.parametrize("command", ["estimate", "export", "folder", "video"])
def test_each_command_ends_with_what_it_left_out(
    command: str, untrained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for name in ("IMG_1.heic", "a.txt", "b.txt"):
        (source / name).write_bytes(b"x")
    if command == "video":
        write_video(source / "v.mp4", [scene(n) for n in range(3)], 10)
    else:
        Image.fromarray(scene()).save(source / "a.png")
    poses = ["estimate" if command == "estimate" else "export", str(untrained_run), "--out", str(tmp_path / "p.csv")]
    status = {
        "estimate": lambda: cli.main([*poses, str(source)]),
        "export": lambda: cli.main([*poses, "--format", "csv", "--images", str(source)]),
        "folder": lambda: folder.main([str(source), str(tmp_path / "out"), "--size", "32"]),
        "video": lambda: video.main([str(source), str(tmp_path / "out"), "--size", "32"]),
    }[command]()
    last = capsys.readouterr().err.splitlines()[-1]
    left_out = f"are left out of {source}: 2 .txt, 1 .heic (pip install pillow-heif, or save them as JPEG)"
    assert status == 0 and last.endswith(f": 3 files with other endings {left_out}")


def test_images_of_phones_are_read(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
    heif.from_pillow(Image.fromarray(scene())).save(tmp_path / "p.heic", quality=90)
    assert np.abs(np.asarray(read_image(tmp_path / "p.heic")).astype(float) - scene()).mean() < 8


@pytest.mark.parametrize("seconds", [[0.0, 0.1, 0.5, 9.2], [0.0, 30.0, 30.04]])
def test_a_video_is_written_on_the_clock_of_its_frames(seconds: list[float], tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", [scene(n) for n in range(len(seconds))], 5.1, iter(seconds))
    assert [time for time, _ in frames(tmp_path / "v.mp4", 0.0, None, None)] == pytest.approx(seconds, abs=1e-3)


def test_a_video_keeps_a_constant_rate(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", [scene(n) for n in range(5)], 12.5)
    assert [time for time, _ in frames(tmp_path / "v.mp4", 0.0, None, None)] == pytest.approx(
        [float(number / Fraction(25, 2)) for number in range(5)], abs=1e-3
    )


def test_a_missing_image_still_has_its_sentence(tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match=r"a\.gif is missing"):
        list(FrameSource([tmp_path / "a.gif"], 32))


def test_phones_images_that_cannot_be_read_are_left_out_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3):
        Image.fromarray(scene(5 * number)).save(tmp_path / "in" / f"{number}.png")
        (tmp_path / "in" / f"IMG_{number}.HEIC").write_bytes(b"no HEIF")
    folder.prepare(tmp_path / "in", tmp_path / "out", 32, test_share=0, duplicates="ignore")
    assert "3 files with other endings are left out" in capsys.readouterr().err
    data = open_dataset(tmp_path / "out")
    assert len(data["train"]) == 3 and [name for name, _ in data.dropped] == [
        f"IMG_{number}.HEIC" for number in range(3)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*VIDEOS, *IMAGES])
def test_damage_is_never_silent(kind: str) -> None:
    """Each damage of ten kinds of video and ten of images; `python tests/benchmarks/damaged_media.py` tries more."""
    damages = DAMAGES if kind in VIDEOS else DAMAGES[:3]
    for number, damage in enumerate(damages):
        assert outcome(kind, damage, 1000 + number) in ("right", "said")


def test_values_that_no_encoder_of_mpeg4_writes_are_noticed() -> None:
    """They were decoded to 12 frames of another number."""
    assert outcome("avi-mpeg4", "bytes", 1004) == "said"


def test_a_harness_that_finds_silent_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers that are painted are read back, and wrong ones are noticed."""
    assert [shown(painted(number)) for number in range(0, 256, 37)] == list(range(0, 256, 37))
    monkeypatch.setattr(damaged_media, "readable", lambda path: iter([(0.0, Image.fromarray(painted(3)), 2)]))
    assert "1 frames show another number, such as 3 as 2" in outcome("avi-mjpeg", "bytes", 0)


def test_holes_of_a_steady_video_are_counted_and_pauses_are_not(tmp_path: Path) -> None:
    steady = [0.04 * number for number in range(40) if number not in (10, 11, 12)]
    write_video(tmp_path / "hole.mp4", [scene(n) for n in range(len(steady))], 25, iter(steady))
    table = frame_table(tmp_path / "hole.mp4")
    assert np.flatnonzero(~table.stored).tolist() == [10, 11, 12] and len(table.seconds) == 40
    pause = [0.04 * number + 30 * (number >= 6) for number in range(40)]
    write_video(tmp_path / "pause.mp4", [scene(n) for n in range(40)], 25, iter(pause))
    table = frame_table(tmp_path / "pause.mp4")
    assert table.stored.tolist() == [True] * 40
    uneven = np.cumsum(np.random.default_rng(0).uniform(0.02, 0.3, 40)) - 0.02
    write_video(tmp_path / "uneven.mp4", [scene(n) for n in range(40)], 25, iter(uneven.tolist()))
    assert frame_table(tmp_path / "uneven.mp4").stored.tolist() == [True] * 40
