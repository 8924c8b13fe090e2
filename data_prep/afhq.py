"""AFHQ: faces of cats, dogs and wild animals, no labels, protocol "pictures".

Download and unpack afhq.zip or afhq_v2.zip from https://github.com/clovaai/stargan-v2 (CC BY-NC 4.0). SOURCE is the
folder that holds train/{cat,dog,wild}/ and val/ (version 1) or test/ (version 2) with the same folders.
The class of each image is its folder.
"""

from collections.abc import Sequence
from pathlib import Path

from data_prep.common.command_line import parser, run
from data_prep.common.ingest import image_task, write_dataset
from pplkit.core.errors import PplkitError
from pplkit.core.words import choice
from pplkit.data.crops import center
from pplkit.data.images import list_images

CATEGORIES = ("cat", "dog", "wild")


def prepare(
    source: Path | str,
    out: Path | str,
    size: int = 128,
    category: str | None = None,
    overwrite: bool = False,
    strict: bool = False,
    limit: float = 0.1,
) -> Path:
    """Write the faces of one `category` (cat, dog, wild; all if not given) as images of `size` pixels; returns `out`.

    `strict` and `limit` as in `ingest.write`. Raises PplkitError for an unknown category or a folder that is missing
    or empty.
    """
    source = Path(source)
    if category is not None and category not in CATEGORIES:
        raise PplkitError(f"category is {category!r}; {choice(category, CATEGORIES)}")
    chosen = CATEGORIES if category is None else (category,)
    testing = "test" if (source / "test").is_dir() else "val"
    tasks = []
    for split, part in (("train", "train"), ("test", testing)):
        for index, name in enumerate(chosen):
            for path in list_images(source / part / name):
                line = f"{part}/{name}/{path.name}"
                tasks.append(image_task(path, size, split=split, source=line, box=center, class_index=index))
    return write_dataset(
        out,
        tasks,
        overwrite=overwrite,
        strict=strict,
        limit=limit,
        name="afhq",
        size=size,
        class_names=list(chosen),
        source="https://github.com/clovaai/stargan-v2",
        licence="CC BY-NC 4.0",
        options={"category": category},
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    command = parser(__doc__)
    command.add_argument("--category", choices=CATEGORIES, help="keep one category (default: all)")
    return run(prepare, command, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
