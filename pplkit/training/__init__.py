"""The engine that trains every method: step, loop, checkpoints, run folder, devices; `tasks` know the methods."""

from pplkit.training.logger import Callback, Progress, Result
from pplkit.training.loop import fit
from pplkit.training.run_folder import RunFolder
from pplkit.training.saved_lifter import load_lifter
from pplkit.training.saved_mesh import load_diffusion, load_mesh_run
from pplkit.training.saved_model import load
from pplkit.training.task import Task
from pplkit.training.tasks.completer import complete
from pplkit.training.tasks.diffusion import train_diffusion
from pplkit.training.tasks.imitation import train_imitator
from pplkit.training.tasks.inbetweening import load_inbetweening, train_inbetweening
from pplkit.training.tasks.lifting import train_lifter
from pplkit.training.tasks.mesh import train_mesh
from pplkit.training.tasks.prior import PriorTask, train

Watcher = Callback  # its name in 0.1.0

__all__ = [
    "Callback",
    "PriorTask",
    "Progress",
    "Result",
    "RunFolder",
    "Task",
    "Watcher",
    "complete",
    "fit",
    "load",
    "load_diffusion",
    "load_inbetweening",
    "load_lifter",
    "load_mesh_run",
    "train",
    "train_diffusion",
    "train_imitator",
    "train_inbetweening",
    "train_lifter",
    "train_mesh",
]
