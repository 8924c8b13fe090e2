"""Where the modules of version 0.1.0 went: `import pplkit.plots` still works and hands on the names of the new ones."""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

# Old module: its new modules, in pplkit unless they begin with data_prep. Six old names are packages now, which export
# their public names themselves: cli, evaluation, experiments, geometry, inference and training.
MODULES = {
    "ablations": "experiments.ablations", "alignment": "geometry.registration", "arrays": "data.schema",
    "backbones": "models.layers.backbone", "baselines": "models.prior.variants", "batch": "experiments.batch",
    "batch_report": "experiments.report", "batches": "models.prior.batches", "boards": "viz.widgets.canvas",
    "bodies": "data_prep.synthetic.bodies", "cards": "inference.export.model_card", "checking": "data.validation",
    "checkpoints": "training.checkpoint", "clicking": "viz.widgets", "cloth": "data_prep.synthetic.cloth",
    "clutter": "data_prep.synthetic.clutter",
    "commands": "cli.run cli.batch cli.train cli.infer cli.export cli.data cli.convert",
    "completion": "training.tasks.completer", "config": "models.prior.config models.prior.presets",
    "crops": "data.crops", "dataset": "data.dataset data.writer", "devices": "training.distributed",
    "doctor": "evaluation.diagnosis.report", "drawing": "viz.drawing data.schema", "errors": "core.errors",
    "exploration": "viz.widgets.prior_explorer", "explorer": "viz.widgets.prior_explorer",
    "exports": "inference.export.pose_formats", "feature_cache": "models.prior.feature_cache",
    "features": "models.layers.perceptual", "files": "core.files", "films": "evaluation.tracking",
    "findings": "evaluation.diagnosis.checks", "following": "data.crop_path", "foregrounds": "inference.foreground",
    "frames": "data.video", "frontend": "viz.widgets.notebook_host", "handover": "training.saved_model",
    "journal": "training.logger", "labelling": "inference.landmarks.fitting",
    "labels": "inference.landmarks.label_table viz.widgets.label_session",
    "landmarks": "inference.landmarks.landmark_map",
    "lean": "models.layers.recompute", "lighting": "data_prep.synthetic.lighting",
    "link_kernels": "geometry.link_map_triton", "links": "geometry.link_map", "locks": "core.locks",
    "losses": "models.prior.losses", "machine": "training.runtime", "measures": "geometry.coverage",
    "memory": "models.prior.memory", "metadata": "data.schema", "model": "models.prior.model",
    "motion": "data.background", "moving": "data.motion_masks", "muon": "training.muon",
    "networks": "models.prior.networks", "notebooks": "experiments.notebooks", "object_files": "inference.object_crop",
    "object_findings": "evaluation.diagnosis.checks", "object_symptoms": "evaluation.diagnosis.measurements",
    "objectness": "models.layers.objectness", "objects": "inference.object_crop", "occlusion": "data.occlusion",
    "occlusion_figures": "viz.occlusion", "official": "models.prior.released_weights training.saved_model",
    "onnx_export": "inference.export.onnx", "overlay": "viz.overlay data.video_writer", "partial": "data.staging",
    "parts": "models.prior.parts", "pickled": "models.released_reader", "pictures": "data.images",
    "places": "core.project", "plans": "experiments.plan", "plots": "viz.images viz.training viz.evaluation",
    "poses": "models.prior.outputs", "posing": "data_prep.synthetic.posing",
    "posters": "viz.prior viz.evaluation viz.images", "prior": "models.prior.pose_prior",
    "projects": "experiments.project_runs core.project training.run_folder", "prototypes": "evaluation.memory_analysis",
    "puppets": "data_prep.synthetic.puppets", "ranks": "models.layers.collectives", "reading": "data.reader",
    "rendering": "data_prep.synthetic.rendering", "reports": "evaluation.report data.sampling",
    "resampling": "models.layers.resampled_conv", "ridge": "inference.landmarks.ridge",
    "runs": "training.run_folder training.saved_model training.checkpoint", "saliency": "models.layers.saliency",
    "scenes": "data_prep.synthetic.scenes", "schedules": "training.tasks.prior", "shards": "data.npy_shards",
    "sides": "inference.landmarks.left_right", "sizes": "models.prior.config", "smoothing": "geometry.trajectories",
    "stepping": "training.step", "stops": "core.signals", "streaming": "data.streaming", "svg": "viz.prior",
    "symptoms": "evaluation.diagnosis.measurements", "team": "training.processes", "texts": "core.files",
    "track_figures": "viz.tracking", "tracks": "inference.tracking geometry.trajectories",
    "training_figures": "viz.training", "version": "core.version", "widgets": "viz.widgets.training_monitor",
    "workers": "experiments.executors", "yamls": "core.yaml_file",
}  # fmt: skip


def new_modules(name: str) -> list[str]:
    """Dotted names of the modules that an old one went to, as `pplkit.plots`; none if it is not an old module."""
    targets = MODULES.get(name.removeprefix("pplkit."), "").split() if name.startswith("pplkit.") else []
    return [target if target.startswith("data_prep.") else f"pplkit.{target}" for target in targets]


class OldModules(MetaPathFinder, Loader):
    """Makes the old modules importable, each with all names of its new ones."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of an old module; None for any other."""
        return ModuleSpec(fullname, self) if new_modules(fullname) else None

    def exec_module(self, module: ModuleType) -> None:
        """Fill the module; the first new module that has a name gives it."""
        for target in reversed(new_modules(module.__name__)):
            names = {name: value for name, value in vars(import_module(target)).items() if not _is_special(name)}
            vars(module).update(names)


def _is_special(name: str) -> bool:
    return name.startswith("__") and name != "__version__"


def install() -> None:
    """Let imports find the old modules, after everything else was asked."""
    if not any(isinstance(finder, OldModules) for finder in sys.meta_path):
        sys.meta_path.append(OldModules())
