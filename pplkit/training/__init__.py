"""The engine: step, loop, checkpoints, run folder, devices; `tasks` knows the methods."""

from pplkit.training.logger import Progress, Result, Watcher
from pplkit.training.loop import train
from pplkit.training.run_folder import RunFolder
from pplkit.training.saved_model import load
from pplkit.training.tasks.completer import complete

__all__ = ["Progress", "Result", "RunFolder", "Watcher", "complete", "load", "train"]
