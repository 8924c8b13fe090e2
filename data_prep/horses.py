"""Horses of horse2zebra: images of horses, no labels, protocol "pictures".

Download and unpack horse2zebra.zip from https://efrosgans.eecs.berkeley.edu/cyclegan/datasets/ (images of ImageNet,
non-commercial research only). SOURCE is the folder that holds trainA/ and testA/; those of zebras, trainB/ and testB/,
are not read. Images that are not square are cut to the square in their middle.
"""

from collections.abc import Sequence
from pathlib import Path

from data_prep.common.command_line import parser, run
from data_prep.common.ingest import image_task, write_dataset
from pplkit.data.crops import center
from pplkit.data.images import list_images

FOLDERS = {"train": "trainA", "test": "testA"}


def prepare(
    source: Path | str,
    out: Path | str,
    size: int = 128,
    overwrite: bool = False,
    strict: bool = False,
    limit: float = 0.1,
) -> Path:
    """Write the horses of trainA and testA as images of `size` pixels, splits train and test; returns `out`.

    `strict` and `limit` as in `ingest.write`. Raises PplkitError for a folder that is missing or empty.
    """
    source = Path(source)
    tasks = []
    for split, name in FOLDERS.items():
        for path in list_images(source / name):
            tasks.append(image_task(path, size, split=split, source=f"{name}/{path.name}", box=center))
    return write_dataset(
        out,
        tasks,
        overwrite=overwrite,
        strict=strict,
        limit=limit,
        name="horses",
        size=size,
        source="https://efrosgans.eecs.berkeley.edu/cyclegan/datasets/",
        licence="non-commercial research",
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    return run(prepare, parser(__doc__), arguments)


if __name__ == "__main__":
    raise SystemExit(main())
