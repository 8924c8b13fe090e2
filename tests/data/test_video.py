"""The table of a video's frames, and that what is read agrees with it."""

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from damaged_media import FRAMES, RATE, VIDEOS, painted, shown, write_video
from field_pictures import field_stream
from PIL import Image

from pplkit.core.errors import PplkitError
from pplkit.data import video_writer
from pplkit.data.video import HOLE, FrameTable, PartlyRead, _decoded, _numbered_frames, frame_table, frames, readable


def numbers(path: Path, threads: int = 1, start: float = 0.0) -> tuple[list[int], list[int | None], str]:
    """The numbers of the frames that are read, those that they show, and the sentence about what is missing."""
    read: list[int] = []
    painted_numbers: list[int | None] = []
    try:
        for _, image, number in _numbered_frames(path, start, None, None, threads):
            read.append(number)
            painted_numbers.append(shown(np.asarray(image)))
    except PartlyRead as error:
        return read, painted_numbers, str(error)
    return read, painted_numbers, ""


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_uneven_times_and_a_long_pause_are_no_holes(suffix: str, tmp_path: Path) -> None:
    import av

    seconds = np.cumsum(np.random.default_rng(0).choice([0.033, 0.05, 0.12], 30))
    seconds[12:] += 30
    seconds -= seconds[0]
    with av.open(str(tmp_path / f"v.{suffix}"), "w") as file:
        stream: Any = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for number, time in enumerate(seconds):
            frame = av.VideoFrame.from_ndarray(painted(number)[:64, :96], format="rgb24")
            frame.pts, frame.time_base = round(1000 * time), Fraction(1, 1000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    table = frame_table(tmp_path / f"v.{suffix}")
    assert table.stored.all()
    np.testing.assert_allclose(table.seconds, seconds, atol=1.1e-3)
    assert [number for _, _, number in readable(tmp_path / f"v.{suffix}")] == list(range(30))
    np.testing.assert_allclose(
        table.times(None, 1.0, 40.0), seconds[(seconds >= 0.999) & (seconds < 39.999)], atol=2e-3
    )


def test_jitter_and_a_change_of_rate_are_no_holes(tmp_path: Path) -> None:
    """As phones record: nearly even, now and then a pause that is no multiple of the usual interval."""
    gaps = 0.0333 + np.random.default_rng(1).uniform(-0.001, 0.001, 199)
    gaps[[40, 90, 150]] = 0.050, 0.115, 1.216
    seconds = np.concatenate([[0], np.cumsum(gaps)])
    video_writer.write_video(tmp_path / "v.mp4", [painted(0)] * 200, 30, iter(seconds.tolist()))
    assert frame_table(tmp_path / "v.mp4").stored.all() and numbers(tmp_path / "v.mp4")[2] == ""


@pytest.mark.parametrize("kind", VIDEOS)
def test_lost_packets_are_said_in_every_container(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"v.{VIDEOS[kind][0]}"
    write_video(path, *VIDEOS[kind], frozenset((24, 25, 26)))
    read, painted_numbers, sentence = numbers(path)
    assert len(read) < FRAMES and sentence
    if kind == "avi-mjpeg":  # each frame for itself
        assert read == painted_numbers == [number for number in range(FRAMES) if number not in (24, 25, 26)]
        assert "no frame at 3 of its regular times, first at 0.96 seconds" in sentence


@pytest.mark.parametrize("threads", [1, 4])
def test_frames_of_h264_in_avi_are_in_order(threads: int, tmp_path: Path) -> None:
    """An AVI has times of decoding alone, and frames of x264 are decoded in another order than they are shown."""
    write_video(tmp_path / "v.avi", "avi", "libx264")
    for first in (0, 20):
        read, painted_numbers, sentence = numbers(tmp_path / "v.avi", threads, first / RATE)
        assert read == painted_numbers == list(range(first, FRAMES)) and not sentence


@pytest.mark.parametrize("suffix", ["h264", "ts", "mkv", "mp4"])
def test_two_fields_are_one_frame(suffix: str, tmp_path: Path) -> None:
    """Interlaced H.264, as camcorders write it, has a packet for each field: one frame in two packets."""
    import av

    (tmp_path / "v.h264").write_bytes(field_stream([painted(number)[..., 0] for number in range(FRAMES)], RATE))
    if suffix != "h264":
        with av.open(str(tmp_path / "v.h264")) as raw, av.open(str(tmp_path / f"v.{suffix}"), "w") as file:
            stream = file.add_stream_from_template(raw.streams.video[0])
            for number, packet in enumerate(packet for packet in raw.demux(video=0) if packet.size):
                packet.stream, packet.time_base, packet.duration = stream, Fraction(1, 2 * RATE), 1
                packet.pts = packet.dts = number
                file.mux(packet)
    read, painted_numbers, sentence = numbers(tmp_path / f"v.{suffix}")
    assert read == painted_numbers == list(range(FRAMES)) and not sentence


def test_interlaced_frames_in_one_packet_are_counted_once(tmp_path: Path) -> None:
    """As x264 writes them: `interlaced` alone says nothing of the number of packets."""
    import av

    with av.open(str(tmp_path / "v.ts"), "w") as file:
        stream: Any = file.add_stream("libx264", rate=RATE, options={"x264-params": "interlaced=1"})
        stream.height, stream.width, stream.pix_fmt = *painted(0).shape[:2], "yuv420p"
        for number in range(FRAMES):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(painted(number), format="rgb24")))
        file.mux(stream.encode())
    assert numbers(tmp_path / "v.ts")[0] == list(range(FRAMES))


def test_a_stream_that_comes_late_ends_no_video() -> None:
    """PyAV raises an IndexError at the end of a file in which a stream began after the header was read."""

    def packets(stream: Any) -> Any:
        yield SimpleNamespace(is_corrupt=False, decode=lambda: ["frame"])
        raise IndexError

    stream = SimpleNamespace(codec_context=SimpleNamespace(name="png", decode=lambda packet: ["delayed"]))
    assert list(_decoded(SimpleNamespace(demux=packets), stream)) == ["frame", "delayed"]


@pytest.mark.parametrize("kind", ["mp4-h264", "webm-vp8", "mpg-mpeg1", "ts-mpeg2", "avi-mpeg4"])
def test_blanked_data_is_noticed_where_a_decoder_makes_an_image_of_it(kind: str, tmp_path: Path) -> None:
    """Zeros in the middle of the largest packet; but not before a start code or at its end, where they are stuffing."""
    write_video(tmp_path / "v", *VIDEOS[kind])
    assert numbers(tmp_path / "v")[2] == ""
    content = bytearray((tmp_path / "v").read_bytes())
    import av

    with av.open(str(tmp_path / "v")) as file:
        packet = max((bytes(packet) for packet in file.demux(video=0)), key=len)
    middle = bytes(content).index(packet[len(packet) // 2 :][:24]) + 2
    content[middle : middle + 20] = bytes(20)
    (tmp_path / "blank").write_bytes(content)
    assert "is damaged in" in numbers(tmp_path / "blank")[2]
    assert [bool(HOLE.search(b"1" + bytes(20) + end)) for end in (b"", b"\1", b"2")] == [False, False, True]


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_the_last_frames_of_a_cut_video_are_read_by_any_number_of_threads(
    suffix: str, threads: int, tmp_path: Path
) -> None:
    """x264 has B-frames, so that the last packets are not the last frames."""
    import av

    path = tmp_path / f"v.{suffix}"
    options = {"movflags": "faststart"} if suffix == "mp4" else {}
    with av.open(str(path), "w", options=options) as file:
        stream: Any = file.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = painted(0).shape[1], painted(0).shape[0], "yuv420p"
        for number in range(FRAMES):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(painted(number), format="rgb24")))
        file.mux(stream.encode())
    path.write_bytes(path.read_bytes()[: int(0.85 * path.stat().st_size)])
    read, painted_numbers, sentence = numbers(path, threads)
    assert read == painted_numbers and 5 < len(read) < FRAMES and sentence
    assert (read, painted_numbers, sentence) == numbers(path, 1)


def test_threads_lose_no_frame_before_an_error_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    write_video(path, "mp4", "libx264")
    import av

    with av.open(str(path)) as file:
        last = [packet for packet in file.demux(video=0) if packet.size][-3]
        position, size = int(last.pos or 0), last.size
    content = bytearray(path.read_bytes())
    content[position + 4 : position + size] = bytes(size - 4)
    path.write_bytes(content)
    one = numbers(path, 1)
    assert one == numbers(path, 4) and one[0][-1] == FRAMES - 1 and "damaged" in one[2]


def test_frames_that_an_edit_list_hides_are_not_missing(tmp_path: Path) -> None:
    import av

    write_video(tmp_path / "whole.mp4", "mp4", "mpeg4")
    with av.open(str(tmp_path / "whole.mp4")) as source, av.open(str(tmp_path / "v.mp4"), "w") as file:
        stream = file.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                hidden = round(float(5 / RATE / packet.time_base))
                packet.pts, packet.dts, packet.stream = packet.pts - hidden, packet.dts - hidden, stream
                file.mux(packet)
    with av.open(str(tmp_path / "v.mp4")) as file:
        assert sum(packet.is_discard for packet in file.demux(video=0)) == 5
    read, painted_numbers, sentence = numbers(tmp_path / "v.mp4", 4)
    assert read == list(range(FRAMES - 5)) and painted_numbers == list(range(5, FRAMES)) and not sentence


def test_part_of_a_video_has_the_numbers_and_times_of_the_whole(tmp_path: Path) -> None:
    write_video(tmp_path / "v.mp4", "mp4", "libx264")
    read, painted_numbers, sentence = numbers(tmp_path / "v.mp4", 1, start=1.0)
    assert read == painted_numbers == list(range(RATE, FRAMES)) and not sentence
    table = frame_table(tmp_path / "v.mp4")
    chosen = table.times(5, 0.5, 2.0)
    assert [time for time, _ in frames(tmp_path / "v.mp4", 0.5, 2.0, 5)] == pytest.approx(chosen.tolist(), abs=1e-3)


def test_a_time_that_is_not_in_the_table_takes_the_number_that_comes_next() -> None:
    table = FrameTable(np.array([0.0, 0.1, 0.2]), np.ones(3, bool), 0.1, None, 0, False)
    assert [table.number(time, 1) for time in (0.1005, 0.15, 0.2)] == [1, 1, 2] and table.number(0.7, 3) == 2


def test_pages_have_a_table(tmp_path: Path) -> None:
    pages = [Image.fromarray(painted(number)) for number in range(4)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    assert frame_table(tmp_path / "a.tif").seconds.tolist() == pytest.approx([0, 0.04, 0.08, 0.12])
    pages = [Image.fromarray(painted(number)) for number in range(20)]
    times = [100] * 19 + [300]
    times[4] = 200  # a page that is shown longer is no hole
    pages[0].save(tmp_path / "a.gif", save_all=True, append_images=pages[1:], duration=times)
    assert frame_table(tmp_path / "a.gif").stored.tolist() == [True] * 20


def test_a_missing_video_has_its_sentence(tmp_path: Path) -> None:
    with pytest.raises(PplkitError, match=r"v\.mp4 is missing"):
        frame_table(tmp_path / "v.mp4")
