"""Random damage to videos and images whose frames have their numbers painted in: nothing wrong may come out silently.

python tests/benchmarks/damaged_media.py [--count 200] [--seed 0] [--kinds mp4-h264 png ...]

Files of ten kinds of video and ten of images are changed in some bytes, cut, blanked in one place, or (videos) written
again without some packets. A case is right if each frame shows the number under which it is returned and none before
the last is missing, said if a sentence says that something is missing or the file cannot be read, and else silent.
Changed bytes may make a sound file of another picture: a case is unnoticed if FFmpeg, told to check all it can, reports
nothing either. The last line counts the cases; the exit status is 1 if there is a silent one.
"""

import argparse
import contextlib
import io
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pplkit.core.errors import PplkitError
from pplkit.data.images import read_image
from pplkit.data.video import readable

BITS, BLOCK = 8, 16  # of a number, each a square of black or white
WIDTH, HEIGHT = 4 * BLOCK + 32, 2 * BLOCK + 32
FRAMES, RATE = 60, 25
VIDEOS = {  # container, codec
    "mp4-h264": ("mp4", "libx264"), "mov-mpeg4": ("mov", "mpeg4"), "mkv-h264": ("matroska", "libx264"),
    "avi-mjpeg": ("avi", "mjpeg"), "avi-mpeg4": ("avi", "mpeg4"), "webm-vp8": ("webm", "libvpx"),
    "ts-mpeg2": ("mpegts", "mpeg2video"), "ts-h264": ("mpegts", "libx264"), "flv-h264": ("flv", "libx264"),
    "mpg-mpeg1": ("mpeg", "mpeg1video"),
}  # fmt: skip
SUFFIXES = {"matroska": "mkv", "mpegts": "ts", "mpeg": "mpg"}
IMAGES = ("png", "jpg", "gif", "webp", "tif", "bmp", "ppm", "tga", "avif", "jp2")
DAMAGES = ("bytes", "cut", "blank", "packets")


def painted(number: int) -> np.ndarray:
    """An image (HEIGHT, WIDTH, 3) with the bits of a number as squares."""
    image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    for bit in range(BITS):
        row, column = divmod(bit, 4)
        top, left = 16 + row * BLOCK, 16 + column * BLOCK
        image[top : top + BLOCK, left : left + BLOCK] = 235 if number >> bit & 1 else 20
    return image


def noisy(number: int) -> np.ndarray:
    """The same image with a little noise."""
    return np.clip(painted(number) + np.random.default_rng(number).integers(-4, 5, (HEIGHT, WIDTH, 3)), 0, 255).astype(
        np.uint8
    )


def shown(image: np.ndarray) -> int | None:
    """The number that an image shows; None if a square is neither black nor white."""
    number = 0
    for bit in range(BITS):
        row, column = divmod(bit, 4)
        top, left = 16 + row * BLOCK + 4, 16 + column * BLOCK + 4
        value = image[top : top + BLOCK - 8, left : left + BLOCK - 8].mean()
        if 90 < value < 165:
            return None
        number |= int(value >= 165) << bit
    return number


def write_video(path: Path, container: str, codec: str, skipped: frozenset[int] = frozenset()) -> None:
    """A video of FRAMES painted frames, without the packets whose numbers are `skipped`."""
    import av

    with av.open(str(path), "w", format=container) as file:
        stream: Any = file.add_stream(codec, rate=RATE)
        stream.width, stream.height = WIDTH, HEIGHT
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.gop_size = 12
        stream.codec_context.thread_count = 2  # on any machine: more threads make other files
        if container == "mpeg":  # has a time for each 2 KB alone, into which frames as simple as these fit by dozens
            stream.codec_context.options = {"qmax": "2"}
        images = noisy if container == "mpeg" else painted
        packets = 0
        for number in [*range(FRAMES), None]:
            frame = None if number is None else av.VideoFrame.from_ndarray(images(number), format="rgb24")
            for packet in stream.encode(frame):
                if packets not in skipped:
                    file.mux(packet)
                packets += 1


def damaged(rng: random.Random, kind: str, damage: str, folder: Path) -> Path:
    """A damaged file of a kind in a folder."""
    if kind in VIDEOS:
        container, codec = VIDEOS[kind]
        path = folder / f"v.{SUFFIXES.get(container, container)}"
        first = rng.randrange(1, FRAMES - 12)
        skipped = frozenset(range(first, first + rng.randrange(1, 10))) if damage == "packets" else frozenset()
        write_video(path, container, codec, skipped)
    else:
        path = folder / f"i.{kind}"
        Image.fromarray(painted(rng.randrange(2**BITS))).save(path)
    content = bytearray(path.read_bytes())
    if damage == "bytes":
        for _ in range(rng.randrange(1, 20)):
            content[rng.randrange(len(content))] = rng.randrange(256)
    elif damage == "cut":
        del content[rng.randrange(len(content)) :]
    elif damage == "blank":
        start, length = rng.randrange(len(content)), rng.randrange(1, max(2, len(content) // 10))
        content[start : start + length] = bytes(len(content[start : start + length]))
    path.write_bytes(content)
    return path


def noticed(path: Path) -> bool:
    """Whether FFmpeg reports anything about a file: an error, a message, or a frame marked as corrupt."""
    import av

    strict = {"err_detect": "crccheck+bitstream+buffer+explode"}
    av.logging.set_level(av.logging.ERROR)
    try:
        with (
            av.logging.Capture(local=False) as messages,
            av.open(str(path), options=strict, metadata_errors="replace") as file,
        ):
            stream = file.streams.video[0]
            stream.codec_context.options, stream.codec_context.thread_count = strict, 1
            corrupt = [part.is_corrupt for packet in file.demux(stream) for part in (packet, *packet.decode())]
        return bool(messages) or any(corrupt)
    except av.FFmpegError:
        return True
    finally:
        av.logging.set_level(None)


def verdict(path: Path, damage: str, fault: str) -> str:
    """What `outcome` returns for a fault, "" for none, of which no sentence spoke."""
    content = damage in ("bytes", "blank")  # times and lengths show the other damages
    return fault and (f"unnoticed: {fault}" if content and not noticed(path) else fault) or "right"


def outcome(kind: str, damage: str, seed: int) -> str:
    """ "right", "said", "unnoticed: " and what is wrong, or what was silently wrong."""
    rng = random.Random(f"{kind} {damage} {seed}")
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stderr(io.StringIO()) as said:
        if kind in IMAGES:
            number = random.Random(f"{kind} {damage} {seed}").randrange(2**BITS)
            path = damaged(rng, kind, damage, Path(name))
            try:
                seen = shown(np.asarray(read_image(path)))
            except PplkitError:
                return "said"
            return verdict(path, damage, "" if seen in (number, None) else f"the image shows {seen}, not {number}")
        path = damaged(rng, kind, damage, Path(name))
        wrong, numbers, fault = [], [], ""
        try:
            for _, image, number in readable(path):
                seen = shown(np.asarray(image)) if image.size == (WIDTH, HEIGHT) else None
                numbers.append(number)
                if seen not in (number, None):
                    wrong.append((number, seen))
        except PplkitError:
            return "said"
        if said.getvalue():
            return "said"
        if numbers != list(range(len(numbers))):
            fault = "numbers are left out"
        if wrong:
            fault = f"{len(wrong)} frames show another number, such as {wrong[0][1]} as {wrong[0][0]}"
        return verdict(path, damage, fault)


def cases(count: int, seed: int, kinds: list[str]) -> Iterator[tuple[str, str, int]]:
    """Kind, damage and seed of `count` cases of each of the two sorts, over all kinds and damages in turn."""
    for sort in (list(VIDEOS), list(IMAGES)):
        own = [kind for kind in sort if kind in kinds]
        for number in range(count if own else 0):
            damages = DAMAGES if own[0] in VIDEOS else DAMAGES[:3]
            yield own[number % len(own)], damages[number // len(own) % len(damages)], seed + number


def main(arguments: list[str] | None = None) -> int:
    """Run the cases and print what was silent; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="of videos, and of images (default: 200)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", default=[*VIDEOS, *IMAGES])
    options = parser.parse_args(arguments)
    counts: Counter[str] = Counter()
    for kind, damage, seed in cases(options.count, options.seed, options.kinds):
        result = outcome(kind, damage, seed)
        sort = result.split(":")[0]
        counts[sort if sort in ("right", "said", "unnoticed") else "silent"] += 1
        if result not in ("right", "said"):
            print(f"{kind} {damage} {seed}: {result}", flush=True)
    print(", ".join(f"{counts[name]} {name}" for name in ("right", "said", "unnoticed", "silent")))
    return int(counts["silent"] > 0)


if __name__ == "__main__":
    sys.exit(main())
