"""Tables in text files, and the command line of the data sets' modules."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pplkit.core.errors import PplkitError
from pplkit.core.files import read_text
from pplkit.core.words import replace_unprintable
from pplkit.data.dataset import open_dataset


def read_table(path: Path, columns: int, remedy: str) -> list[list[str]]:
    """The rows of a text file; the last of the `columns` may hold spaces. Raises PplkitError naming file and line."""
    if not path.is_file():
        raise PplkitError(f"{path} is missing; {remedy}")
    lines = read_text(path, remedy).splitlines()
    rows = [line.split(maxsplit=columns - 1) for line in lines if line.strip()]
    for number, row in enumerate(rows, start=1):
        if len(row) != columns:
            raise PplkitError(f"{path} has {len(row)} columns in line {number}, not {columns}; {remedy}")
    if not rows:
        raise PplkitError(f"{path} is empty; {remedy}")
    return rows


def parser(description: str | None, source: str = "the folder as downloaded") -> argparse.ArgumentParser:
    """A parser of SOURCE OUT --size --overwrite --strict --limit; a module adds its own options."""
    command = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument("source", type=Path, help=source)
    command.add_argument("out", type=Path, help="the folder to write the prepared data set to")
    command.add_argument("--size", type=int, default=128, help="side of the images in pixels (default: %(default)s)")
    command.add_argument("--overwrite", action="store_true", help="replace a data set that is already there")
    command.add_argument("--strict", action="store_true", help="stop at the first file that cannot be used")
    command.add_argument(
        "--limit", type=float, default=0.1, help="share of the files that may be left out (default: 0.1)"
    )
    return command


class ListAction(argparse.Action):
    """The values of a list option, parted by spaces or commas: its type, such as `numbers`, splits at commas."""

    def __call__(self, _: Any, namespace: argparse.Namespace, values: Any, __: Any = None) -> None:
        """Keep all of them in one list."""
        setattr(namespace, self.dest, [value for part in values for value in part])


def texts(text: str) -> list[str]:
    """The texts between commas."""
    return [part for part in text.split(",") if part]


def numbers(text: str) -> list[int]:
    """The whole numbers between commas."""
    return [int(part) for part in texts(text)]


def run(prepare: Callable[..., Path], command: argparse.ArgumentParser, arguments: Sequence[str] | None = None) -> int:
    """Prepare as the command line says and print the counts; returns the exit status, 2 after an error."""
    replace_unprintable()
    options: dict[str, Any] = vars(command.parse_args(arguments))
    try:
        data = open_dataset(prepare(**options))
    except PplkitError as error:
        print(f"data_prep: {error}", file=sys.stderr)
        return 2
    counts = ", ".join(f"{len(split)} {name}" for name, split in data.splits.items())
    nouns = "image" if sum(map(len, data.splits.values())) == 1 else "images"
    print(f"{data.path}: {counts} {nouns} of {data.size} pixels")
    if data.dropped:
        print(f"{len(data.dropped)} left out; the first: {': '.join(data.dropped[0])} (all are in dataset.json)")
    return 0


def run_sequences(
    prepare: Callable[..., Path], command: argparse.ArgumentParser, arguments: Sequence[str] | None = None
) -> int:
    """As `run`, for pose sequences: prints how many files each folder got."""
    replace_unprintable()
    try:
        out = prepare(**vars(command.parse_args(arguments)))
    except PplkitError as error:
        print(f"data_prep: {error}", file=sys.stderr)
        return 2
    counts = {folder.name: len(list(folder.glob("*.*"))) for folder in sorted(out.iterdir()) if folder.is_dir()}
    print(f"{out}: " + (", ".join(f"{count} files in {name}" for name, count in counts.items()) or "pose sequences"))
    return 0
