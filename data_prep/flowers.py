"""Oxford Flowers-102: images of flowers, no keypoints, protocol "pictures".

From https://www.robots.ox.ac.uk/~vgg/data/flowers/102/ (research only; the images belong to their owners). SOURCE is
the folder that holds jpg/image_00001.jpg and so on (of 102flowers.tgz), setid.mat and imagelabels.mat; with `download`
they are fetched there and checked against their MD5 sums, and files that are whole already are not fetched again.

The official test split, the largest, trains, as published; the official training split is the test split here and the
validation split is kept as "val". Images are cut to the square in their middle.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_prep.common.archives import unpack
from data_prep.common.command_line import parser, run
from data_prep.common.ingest import image_task, write_dataset
from data_prep.common.matlab import read_numbers
from pplkit.core.errors import PplkitError
from pplkit.data.crops import center

PAGE = "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/"
SUMS = {
    "102flowers.tgz": "52808999861908f626f3c1f4e79d11fa",
    "setid.mat": "a5357ecc9cb78c4bef273ce3793fc85c",
    "imagelabels.mat": "e0620be6f572b9609742df49c70aed4d",
}
SPLITS = {"train": "tstid", "val": "valid", "test": "trnid"}
MAX_NUMBER = 1_000_000  # of an image or a class
REMEDY = f"download it again from {PAGE} or pass download"


def prepare(
    source: Path | str,
    out: Path | str,
    size: int = 128,
    download: bool = False,
    overwrite: bool = False,
    strict: bool = False,
    limit: float = 0.1,
) -> Path:
    """Write the flowers as images of `size` pixels, splits train, val and test, with their classes; returns `out`.

    `download` fetches to `source` what is not there; `strict` and `limit` as in `ingest.write`. Raises PplkitError for
    a missing or damaged file or if the download fails.
    """
    source = Path(source)
    if download:
        _download(source)
    if not source.is_dir():
        raise PplkitError(f"there is no folder {source}; give the one that holds jpg and setid.mat, or pass download")
    labels = _numbers(source / "imagelabels.mat", "labels")
    tasks = []
    for split, key in SPLITS.items():
        for number in _numbers(source / "setid.mat", key):
            if number > len(labels):
                raise PplkitError(f"{source / 'imagelabels.mat'} has no label of image {number}; {REMEDY}")
            name = f"image_{number:05d}.jpg"
            index = int(labels[number - 1]) - 1
            tasks.append(
                image_task(source / "jpg" / name, size, split=split, source=name, box=center, class_index=index)
            )
    return write_dataset(
        out,
        tasks,
        overwrite=overwrite,
        strict=strict,
        limit=limit,
        name="flowers",
        size=size,
        class_names=[f"class {number}" for number in range(1, int(labels.max()) + 1)],  # the files hold no names
        source=PAGE,
        licence="research; the pictures belong to their owners",
        options={"download": download},
    )


def _download(folder: Path) -> None:
    from torchvision.datasets.utils import download_url

    try:
        for name, md5 in SUMS.items():
            if name.endswith(".mat") or not (folder / "jpg").is_dir():
                download_url(PAGE + name, str(folder), md5=md5)
            if name.endswith(".tgz") and not (folder / "jpg").is_dir():
                unpack(folder / name, folder)
    except (OSError, RuntimeError, EOFError) as error:
        raise PplkitError(
            f"{folder} could not be filled from {PAGE} ({error}); run it again or download 102flowers.tgz, setid.mat "
            "and imagelabels.mat yourself"
        ) from error


def _numbers(path: Path, key: str) -> np.ndarray:
    """The positive whole numbers (n,) called `key` in a MATLAB file."""
    numbers = read_numbers(path, key, REMEDY).ravel()
    if not (numbers.size and (numbers == numbers.round()).all() and numbers.min() >= 1 and numbers.max() <= MAX_NUMBER):
        raise PplkitError(f"{path} holds no whole numbers from 1 called {key}; {REMEDY}")
    return numbers.astype(np.int64)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    command = parser(__doc__)
    command.add_argument("--download", action="store_true", help="fetch what is missing to SOURCE (330 MB)")
    return run(prepare, command, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
