"""`pplkit convert-official`: weights of the authors' code as a run folder."""

import argparse
from pathlib import Path

from pplkit.cli.options import Commands, add_command
from pplkit.training import saved_model


def add_commands(commands: Commands) -> None:
    """Add `convert-official`."""
    parser = add_command(commands, convert_official)
    parser.add_argument("checkpoint", type=Path, metavar="IN", help="file of torch.save; nothing in it is executed")
    parser.add_argument("run", type=Path, metavar="OUT", help="run folder to write: safetensors and JSON")
    parser.add_argument("--preset", help="settings it was trained with, such as released-h36m-128")


def convert_official(arguments: argparse.Namespace) -> None:
    """Make a run folder of a checkpoint of the authors' code."""
    config = saved_model.convert_official(arguments.checkpoint, arguments.run, arguments.preset)
    print(f"The weights are in {arguments.run}, with links of width {config.thickness}: see config.json.")
