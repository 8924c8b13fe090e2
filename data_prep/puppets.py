"""Prepare synthetic puppets: `python -m data_prep.puppets humanoid OUT --size 64`.

SOURCE is a category of `data_prep.synthetic.puppets`, or a harder kind of puppets. textured-CATEGORY: patterned
clothes, cluttered backgrounds, several lights. wide-CATEGORY: scenes of 640 x 480 pixels (`data_prep.synthetic.scenes`)
in which the puppet is small, cut down to the square that `crop` names (`data_prep.scenes`). Without a CATEGORY,
humanoid.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from data_prep.common.splits import hash_fraction, held_out
from data_prep.scenes import CROPS, boxes, cropped
from data_prep.synthetic.puppets import CATEGORIES, PICKED, Puppets, generate, layout
from data_prep.synthetic.scenes import generate_wide
from pplkit.core.errors import PplkitError
from pplkit.core.progress import ProgressLine
from pplkit.core.words import choice
from pplkit.data.crops import current_name
from pplkit.data.images import list_images, relative_name
from pplkit.data.writer import DatasetWriter

FIRST_TEST_VIDEO = 1_000_000  # test videos are numbered from here: the same ones for any number of training videos
LEAST = {"videos": 1, "frames": 1, "test_videos": 1, "test_frames": 1, "films": 0, "film_frames": 1}
BATCH = 16  # videos generated and written at a time
HELD = 256  # images of scenes held at a time
WORLDS = ("textured", "wide")
SOURCES = (*CATEGORIES, *(world + kind for world in WORLDS for kind in ("", *(f"-{name}" for name in CATEGORIES[1:]))))
TESTED = 0.2  # share of the photographs that test videos alone have as their background


class _World(NamedTuple):
    """What to make: `name` is "" for plain puppets."""

    name: str
    category: str
    crop: str
    seed: int
    size: int


def prepare(
    source: str = "humanoid",
    out: str | Path = "data/puppets",
    size: int = 64,
    videos: int = 400,
    frames: int = 16,
    test_videos: int = 50,
    test_frames: int = 10,
    films: int = 10,
    film_frames: int = 100,
    seed: int = 0,
    crop: str = "object",
    backgrounds: str | Path | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the puppets `source`, one of `SOURCES`, to the folder `out`, and return the folder.

    Splits train and test hold every fourth frame (`puppets.PICKED`) of their videos, none of which is in both; films
    holds videos whole, 25 frames a second, from the first one of test on, for tracks to be measured on. All have
    keypoints, visible, videos and masks. `crop` is for wide puppets; `backgrounds`, a folder of photographs, for these
    and textured ones: some of the photographs are kept for the test. Raises PplkitError for an unknown source or crop,
    numbers out of range, photographs that cannot be read, or an `out` that is in use.
    """
    crop = current_name(crop)
    world = _world(source, crop, backgrounds, seed, size)
    options: dict[str, Any] = {
        "videos": videos, "frames": frames, "test_videos": test_videos, "test_frames": test_frames,
        "films": films, "film_frames": film_frames, "seed": seed,
    }  # fmt: skip
    _check(options)
    options |= {"crop": crop} if world.name == "wide" else {}
    options |= {"backgrounds": None if backgrounds is None else str(backgrounds)} if world.name else {}
    photographs = _photographs(backgrounds)
    generate(world.category, 1, 1, size, seed)  # refuses a wrong size or seed before anything is written
    parts = (
        ("train", 0, videos, frames, PICKED),
        ("test", FIRST_TEST_VIDEO, test_videos, test_frames, PICKED),
        ("films", FIRST_TEST_VIDEO, films, film_frames, 1),
    )
    line, done, total = ProgressLine(), 0, sum(count * length for _, _, count, length, _ in parts)
    with closing(line), DatasetWriter(out, size=size, overwrite=overwrite, **_about(source, world, options)) as writer:
        for split, start, count, length, every in parts:
            for scenes in _made(world, range(start, start + count), length, every, photographs[split != "train"]):
                shown = [(video, i % length * every) for i, video in enumerate(scenes.videos)]
                names = [f"{source} seed {seed} video {video} frame {frame}" for video, frame in shown]
                writer.add(split, **vars(scenes), sources=names)
                done += len(names)
                line.count(done, total, f"{source}, images")
    return Path(out)


def _world(source: str, crop: str, backgrounds: str | Path | None, seed: int, size: int) -> _World:
    """What `source` names; raises PplkitError for another name, and for options that are not for it."""
    if source not in SOURCES:
        raise PplkitError(f"source {source!r} is unknown; {choice(source, SOURCES)}")
    name, _, category = source.partition("-")
    if name not in WORLDS:
        name, category = "", source
    if crop not in CROPS:
        raise PplkitError(f"crop is {crop!r}; {choice(crop, CROPS)}")
    if crop != "object" and name != "wide":
        raise PplkitError(f"crop is {crop!r}, but images of {source} are not cut: leave it out or choose wide")
    if backgrounds is not None and not (name and isinstance(backgrounds, str | Path)):
        raise PplkitError(f"backgrounds is {backgrounds!r}; give a folder, and textured or wide puppets to stand there")
    return _World(name, category or CATEGORIES[0], crop, seed, size)


def _photographs(folder: str | Path | None) -> tuple[list[Path], list[Path]]:
    """The images of a folder for training, and those for the test; a single one is for both."""
    if folder is None:
        return [], []
    folder = Path(folder).expanduser()
    files = {relative_name(path, folder): path for path in list_images(folder)}
    if len(files) == 1:
        return [*files.values()], [*files.values()]
    tested = held_out(list(files), TESTED) or {min(files, key=hash_fraction)}
    return [files[n] for n in files if n not in tested], [files[n] for n in files if n in tested]


def _made(world: _World, numbers: range, length: int, every: int, photographs: Sequence[Path]) -> Iterator[Puppets]:
    """Yields the videos with these numbers, `length` images each, a few videos at a time."""
    step = max(1, HELD // length) if world.name == "wide" else BATCH
    for first in numbers[::step]:
        count = min(step, numbers.stop - first)
        options: dict[str, Any] = {"seed": world.seed, "first_video": first, "every": every, "photographs": photographs}
        if world.name == "wide":
            scenes = generate_wide(world.category, count, length, **options)
            yield cropped(scenes, boxes(scenes, world.crop), world.size)
        else:
            yield generate(world.category, count, length, world.size, textured=world.name == "textured", **options)


def _check(options: Mapping[str, int]) -> None:
    for name, least in LEAST.items():
        if not least <= options[name] <= FIRST_TEST_VIDEO:
            raise PplkitError(f"{name} is {options[name]}; give a whole number from {least} to {FIRST_TEST_VIDEO}")


def _about(source: str, world: _World, options: Mapping[str, Any]) -> dict[str, Any]:
    """What dataset.json says of the puppets."""
    return {
        **asdict(layout(world.category)),
        "name": f"puppets-{source}",
        "protocol": "h36m",
        "source": "synthetic, made by data_prep.synthetic.puppets",
        "licence": "MIT" if options.get("backgrounds") is None else "MIT; the backgrounds as their photographs",
        "options": options,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line on `arguments` (default: those of the process); 0 = done, 2 = wrong input."""
    parser = argparse.ArgumentParser(
        prog="python -m data_prep.puppets",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="SOURCE", help=f"one of {', '.join(SOURCES)}")
    parser.add_argument("out", metavar="OUT", type=Path, help="folder of the prepared data set, new or empty")
    parser.add_argument("--size", type=int, default=64, help="side of the images in pixels (default: %(default)s)")
    parser.add_argument("--videos", type=int, default=400, help="training videos (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=16, help="images of a training video (default: %(default)s)")
    parser.add_argument("--test-videos", type=int, default=50, help="test videos (default: %(default)s)")
    parser.add_argument("--test-frames", type=int, default=10, help="images of a test video (default: %(default)s)")
    parser.add_argument(
        "--films",
        type=int,
        default=10,
        help="videos that are kept whole, from the first test video on (default: %(default)s)",
    )
    parser.add_argument("--film-frames", type=int, default=100, help="frames of each of them (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other videos (default: %(default)s)")
    parser.add_argument("--crop", default="object", help=f"wide: {', '.join(CROPS)} (default: %(default)s)")
    parser.add_argument("--backgrounds", type=Path, metavar="DIR", help="textured, wide: a folder of photographs")
    parser.add_argument("--overwrite", action="store_true", help="replace a data set that OUT holds")
    options = vars(parser.parse_args(arguments))
    try:
        out = prepare(**options)
    except PplkitError as error:
        print(f"data_prep: {error}", file=sys.stderr)
        return 2
    pairs = (("videos", "frames"), ("test_videos", "test_frames"), ("films", "film_frames"))
    train, test, films = (options[one] * options[other] for one, other in pairs)
    print(f"{train} training and {test} test images, {films} frames of films in {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
