"""`pplkit check`: what a prepared data set holds, and what is wrong with it."""

import argparse
from pathlib import Path

from pplkit.cli.options import Commands, add_command
from pplkit.core.errors import PplkitError, reason
from pplkit.core.words import quantity
from pplkit.data.dataset import open_dataset
from pplkit.data.sampling import evenly_spaced
from pplkit.data.validation import faults, summary


def add_commands(commands: Commands) -> None:
    """Add `check`."""
    parser = add_command(commands, check)
    parser.add_argument("dataset", type=Path, metavar="DIR", help="folder of the prepared data set")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="image of samples to write (default: DIR.png)")


def check(arguments: argparse.Namespace) -> None:
    """Print what a prepared data set holds, and every fault of its files."""
    from pplkit.viz.images import contact_sheet

    messages = faults(arguments.dataset)
    if messages:
        print("\n".join(messages))
        raise PplkitError(f"{arguments.dataset} has {quantity(len(messages), 'fault')}, named above.")
    data = open_dataset(arguments.dataset)
    print("\n".join(summary(data)))
    split = next(iter(data.splits.values()))
    indices = evenly_spaced(split, 48)
    labels = None if split.keypoints is None else split.keypoints[indices]
    sheet = arguments.sheet or arguments.dataset.with_name(f"{arguments.dataset.name}.png")
    try:
        contact_sheet(split.images[indices], labels, data.skeleton).savefig(sheet)
    except OSError as error:
        raise PplkitError(f"{sheet} cannot be written ({reason(error)}): name another file with --sheet.") from None
    print(f"No faults. Samples: {sheet}")
