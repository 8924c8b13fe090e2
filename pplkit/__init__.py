"""pplkit: learn the pose of an object category from unlabelled images (Pose Prior Learner, ICLR 2026).

>>> data = pplkit.prepare("photos")  # a folder of images, a video, a folder of videos, or a name such as "puppets"
>>> config = pplkit.Config.preset("photographs")
>>> result = pplkit.train(config, data, "runs/photos")
>>> model = pplkit.load("runs/photos")
>>> poses = model.estimate("photos")
>>> poses.draw().save("poses.png")
>>> file = poses.export("poses.json", format="coco")
"""

from pathlib import Path
from typing import Any

from pplkit.core import old_names
from pplkit.core.errors import PplkitError
from pplkit.core.version import __version__
from pplkit.data import reader
from pplkit.data.dataset import Dataset, open_dataset
from pplkit.data.occlusion import occlude
from pplkit.evaluation.protocols import evaluate
from pplkit.geometry.link_map import link_map
from pplkit.inference.imitation.methods import imitate
from pplkit.inference.lifting.lift import lift
from pplkit.inference.mesh_transfer import transfer_pose
from pplkit.inference.object_crop import ObjectCropper
from pplkit.models.prior import outputs
from pplkit.models.prior.config import Config
from pplkit.models.prior.model import PosePriorLearner
from pplkit.models.prior.pose_prior import PosePrior
from pplkit.models.prior.released_weights import load_official
from pplkit.training.saved_model import load
from pplkit.training.tasks.completer import complete
from pplkit.training.tasks.prior import train

__all__ = [
    "Config",
    "PosePrior",
    "PosePriorLearner",
    "PplkitError",
    "__version__",
    "complete",
    "evaluate",
    "imitate",
    "lift",
    "link_map",
    "load",
    "load_official",
    "occlude",
    "open_dataset",
    "prepare",
    "train",
    "transfer_pose",
]


def prepare(
    source: str | Path,
    name: str = "",
    *,
    size: int | None = None,
    scale: str = "default",
    refresh: bool = False,
    **options: Any,
) -> Dataset:
    """Prepare images for training, in <home>/data/<name>, or open them if they are prepared already.

    Args:
        source: a folder of images, a video, a folder of videos, or the name of a data set that needs no files, such as
            "puppets" or one that is prepared already.
        name: what the data set is called; by default "folder-" or "video-" and the name of the source. Names of data
            sets that are known, such as "cub", say how their source is read.
        size: side of the images in pixels; by default that of the settings that `pplkit run` would take.
        refresh: prepare it again, for instance because there are more files now.
        scale: "default", or "smoke" for few images of 32 pixels.
        options: those of the module of `data_prep`, such as rate=5 for videos.

    Raises PplkitError for a source that cannot be read or has changed, an unknown option, and a name that is prepared
    otherwise.

    >>> data = pplkit.prepare("photos", size=64)
    >>> data.name, data["train"].images.shape
    ('folder', (25, 64, 64, 3))
    """
    from data_prep.registry import prepare_source  # which imports this package

    return prepare_source(source, name, size, options, scale, refresh)


def _draw(*arguments: Any) -> Any:
    from pplkit.viz.overlay import draw_poses  # here, since matplotlib takes its time

    return draw_poses(*arguments)


def _export(*arguments: Any) -> Path:
    from pplkit.inference.export.pose_formats import export_estimated

    return export_estimated(*arguments)


# What rooms above do for objects of rooms below, which do not import them.
reader.CROPPERS[reader.OBJECT] = ObjectCropper
outputs.ABOVE.update(draw=_draw, export=_export)
old_names.install()


def __dir__() -> list[str]:
    return sorted(__all__)
