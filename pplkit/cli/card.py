"""`pplkit card`: what a run is worth, for those who were not there."""

import argparse
from pathlib import Path

from pplkit.cli.options import Commands, add_command


def add_commands(commands: Commands) -> None:
    """Add `card`."""
    parser = add_command(commands, card)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="run folders, of any method")
    text = "a page of these runs to write as well, Markdown (.md)"
    parser.add_argument("--gallery", type=Path, metavar="FILE", help=text)


def card(arguments: argparse.Namespace) -> None:
    """Write the card of a run, MODEL_CARD.md: data, settings, scores beside baselines, limits."""
    from pplkit.experiments.run_card import write_card, write_gallery

    if arguments.gallery is None:
        for run in arguments.runs:
            print(f"The card is {write_card(run)}.")
    else:
        print(f"The gallery is {write_gallery(arguments.runs, arguments.gallery)}; each run has its card.")
