"""11k Hands: images of hands on white, no labels, protocol "pictures".

Download Hands.zip and HandInfo.csv from https://sites.google.com/view/11khands (non-commercial research only) and put
them side by side: SOURCE is the folder that holds HandInfo.csv and Hands/.

The images are 4:3 and a hand may reach every border, so nothing is cut away: the shorter side is filled up to a
square by repeating the outermost pixels, which continues the white ground and the wrist. Every tenth person (by id,
counted among those chosen) makes up the test split, so no one is in both.
"""

import argparse
import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_prep.common.command_line import parser, run
from data_prep.common.ingest import image_task, write_dataset
from pplkit.core.errors import PplkitError
from pplkit.core.files import read_text
from pplkit.data.crops import whole
from pplkit.data.images import path_inside

REMEDY = "download HandInfo.csv again and put it beside the folder Hands"
COLUMNS = ("id", "imageName", "aspectOfHand", "accessories")
TEST_EVERY = 10


def prepare(
    source: Path | str,
    out: Path | str,
    size: int = 128,
    aspect: str | None = None,
    accessories: int | None = None,
    where: Mapping[str, str | int] | None = None,
    overwrite: bool = False,
    strict: bool = False,
    limit: float = 0.1,
) -> Path:
    """Write the hands as images of `size` pixels and return `out`.

    `aspect` keeps those whose aspectOfHand begins with it ("dorsal", "palmar left", ...), `accessories` those without
    (0) or with (1) jewellery, `where` those whose columns of HandInfo.csv have exactly these values, such as
    {"gender": "female", "nailPolish": 0}; `strict` and `limit` as in `ingest.write`. Raises PplkitError for a missing
    or damaged file, an unknown column or if nothing is left.
    """
    source = Path(source)
    wanted = {column: str(value) for column, value in (where or {}).items()}
    rows = _chosen(source, aspect, accessories, wanted)
    people = sorted({row["id"] for row in rows})
    testing = set(people[TEST_EVERY - 1 :: TEST_EVERY])
    tasks = [
        image_task(
            path_inside(source / "Hands", row["imageName"]),
            size,
            split="test" if row["id"] in testing else "train",
            source=row["imageName"],
            box=whole,
        )
        for row in rows
    ]
    return write_dataset(
        out,
        tasks,
        overwrite=overwrite,
        strict=strict,
        limit=limit,
        name="hands",
        size=size,
        source="https://sites.google.com/view/11khands",
        licence="non-commercial research",
        options={"aspect": aspect, "accessories": accessories, "where": where and wanted},
    )


def _chosen(
    source: Path, aspect: str | None, accessories: int | None, wanted: Mapping[str, str]
) -> list[dict[str, str]]:
    table = _table(source)
    unknown = [column for column in wanted if column not in table[0]]
    if unknown:
        raise PplkitError(f"where names column {unknown[0]!r}; HandInfo.csv has {', '.join(table[0])}")
    rows = [
        row
        for row in table
        if row["aspectOfHand"].startswith(aspect or "")
        and accessories in (None, int(row["accessories"]))
        and all(row[column] == value for column, value in wanted.items())
    ]
    if not rows:
        also = "".join(f" and {column} {value}" for column, value in wanted.items())
        raise PplkitError(
            f"no hand has aspect {aspect!r} and accessories {accessories}{also}; see {source / 'HandInfo.csv'}"
        )
    return rows


def _table(source: Path) -> list[dict[str, str]]:
    path = source / "HandInfo.csv"
    if not source.is_dir():
        raise PplkitError(f"there is no folder {source}; give the one that holds HandInfo.csv and Hands")
    if not path.is_file():
        raise PplkitError(f"{path} is missing; {REMEDY}")
    try:
        rows = list(csv.DictReader(io.StringIO(read_text(path, REMEDY), newline="")))
    except csv.Error as error:
        raise PplkitError(f"{path} is not a CSV table ({error}); {REMEDY}") from error
    for number, row in enumerate(rows, start=2):
        if any(row.get(column) is None for column in COLUMNS) or row["accessories"] not in ("0", "1"):
            raise PplkitError(f"{path} lacks {', '.join(COLUMNS)}, or has wrong ones, in line {number}; {REMEDY}")
    if not rows:
        raise PplkitError(f"{path} is empty; {REMEDY}")
    return rows


class _Conditions(argparse.Action):
    def __call__(self, _: Any, namespace: argparse.Namespace, values: Any, __: Any = None) -> None:
        setattr(namespace, self.dest, dict(values))


def _condition(text: str) -> tuple[str, str]:
    column, sign, value = text.partition("=")
    if not sign:
        raise argparse.ArgumentTypeError(f"{text!r} is not COLUMN=VALUE")
    return column, value


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    command = parser(__doc__)
    command.add_argument("--aspect", help="keep hands whose aspect begins with this, such as dorsal or 'palmar left'")
    command.add_argument("--accessories", type=int, choices=(0, 1), help="keep hands without (0) or with (1) jewellery")
    conditions = "keep hands whose columns of HandInfo.csv have these values, such as gender=female nailPolish=0"
    command.add_argument(
        "--where", type=_condition, nargs="+", action=_Conditions, metavar="COLUMN=VALUE", help=conditions
    )
    return run(prepare, command, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
