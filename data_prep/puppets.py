"""Prepare a synthetic category of `pplkit.puppets`: `python -m data_prep.puppets humanoid OUT --size 64`."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pplkit.dataset import DatasetWriter
from pplkit.errors import PplkitError
from pplkit.puppets import CATEGORIES, PICKED, generate, layout

FIRST_TEST_VIDEO = 1_000_000  # test videos are numbered from here: the same ones for any number of training videos
LEAST = {"videos": 1, "frames": 1, "test_videos": 1, "test_frames": 1, "films": 0, "film_frames": 1}
BATCH = 16  # videos generated and written at a time


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
    overwrite: bool = False,
) -> Path:
    """Write the category `source` to the folder `out`, and return the folder.

    Splits train and test hold every fourth frame (`puppets.PICKED`) of their videos, none of which is in both; films
    holds videos whole, 25 frames a second, from the first one of test on, for tracks to be measured on. All have
    keypoints, visible, videos and masks. Raises PplkitError for an unknown category, numbers out of range, or an `out`
    that is in use.
    """
    options = {
        "videos": videos, "frames": frames, "test_videos": test_videos, "test_frames": test_frames,
        "films": films, "film_frames": film_frames, "seed": seed,
    }  # fmt: skip
    _check(options)
    generate(source, 1, 1, size, seed)  # refuses a wrong category, size or seed before anything is written
    parts = (
        ("train", 0, videos, frames, PICKED),
        ("test", FIRST_TEST_VIDEO, test_videos, test_frames, PICKED),
        ("films", FIRST_TEST_VIDEO, films, film_frames, 1),
    )
    with (
        DatasetWriter(out, size=size, overwrite=overwrite, **_about(source, options)) as writer,
        tqdm(total=sum(count * length for _, _, count, length, _ in parts), unit="image", desc=source) as bar,
    ):
        for split, start, count, length, every in parts:
            for first in range(start, start + count, BATCH):
                made = generate(source, min(BATCH, start + count - first), length, size, seed, first, every)
                shown = [(video, i % length * every) for i, video in enumerate(made.videos)]
                names = [f"{source} seed {seed} video {video} frame {frame}" for video, frame in shown]
                writer.add(split, **vars(made), sources=names)
                bar.update(len(names))
    return Path(out)


def _check(options: Mapping[str, int]) -> None:
    for name, least in LEAST.items():
        if not least <= options[name] <= FIRST_TEST_VIDEO:
            raise PplkitError(f"{name} is {options[name]}; give a whole number from {least} to {FIRST_TEST_VIDEO}")


def _about(source: str, options: Mapping[str, int]) -> dict[str, Any]:
    """What dataset.json says of the puppets."""
    return {
        **asdict(layout(source)),
        "name": f"puppets-{source}",
        "protocol": "h36m",
        "source": "synthetic, made by pplkit.puppets",
        "licence": "MIT",
        "options": options,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line on `arguments` (default: those of the process); 0 = done, 2 = wrong input."""
    parser = argparse.ArgumentParser(prog="python -m data_prep.puppets", description=__doc__)
    parser.add_argument("source", metavar="SOURCE", help=f"category: {', '.join(CATEGORIES)}")
    parser.add_argument("out", metavar="OUT", type=Path, help="folder of the prepared data set, new or empty")
    parser.add_argument("--size", type=int, default=64, help="side of the images in pixels (default: %(default)s)")
    parser.add_argument("--videos", type=int, default=400, help="training videos (default: %(default)s)")
    parser.add_argument("--frames", type=int, default=16, help="pictures of a training video (default: %(default)s)")
    parser.add_argument("--test-videos", type=int, default=50, help="test videos (default: %(default)s)")
    parser.add_argument("--test-frames", type=int, default=10, help="pictures of a test video (default: %(default)s)")
    parser.add_argument(
        "--films",
        type=int,
        default=10,
        help="videos that are kept whole, from the first test video on (default: %(default)s)",
    )
    parser.add_argument("--film-frames", type=int, default=100, help="frames of each of them (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other videos (default: %(default)s)")
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
