"""YouTube dogs: 2,000 frames of 20 videos of dogs, no labels, protocol "pictures".

The videos were chosen from https://www.youtube.com and no list of them is published: get 20 of your own choice, whose
owners let you, each of one dog. SOURCE is the folder that holds them. 100 evenly spaced frames of each, 256 pixels.
Needs PyAV (pip install 'pplkit[data]'); splits, crops and faulty files as in `data_prep.video`.
"""

from collections.abc import Sequence
from pathlib import Path

from data_prep.common.command_line import run
from data_prep.common.object_crops import AUTO
from data_prep.video import command_line, convert
from pplkit.data.writer import DatasetWriter


def prepare(
    source: Path | str,
    out: Path | str,
    size: int = 256,
    frames: int = 100,
    crop: str | Sequence[float] = AUTO,
    test_share: float = 0.1,
    overwrite: bool = False,
    strict: bool = False,
    limit: float = 0.1,
) -> Path:
    """Write at most `frames` evenly spaced frames of each video as images of `size` pixels and return `out`.

    `crop` and `test_share` as in `data_prep.video`, `strict` and `limit` as in `ingest.write`; errors are theirs.
    """
    writer = DatasetWriter(
        out,
        overwrite=overwrite,
        name="dogs",
        size=size,
        source="https://www.youtube.com",
        licence="that of each video",
        options={"frames": frames, "crop": crop, "test_share": test_share},
    )
    convert(Path(source), writer, (None, frames, 0.0, None), crop, test_share, strict=strict, limit=limit)
    return Path(out)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    command = command_line(__doc__, "a folder of videos")
    command.set_defaults(size=256, frames=100)
    return run(prepare, command, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
