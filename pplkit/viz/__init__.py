"""Figures, one function each, and poses drawn over videos; `save` keeps a figure in a run folder."""

import os

from pplkit.core.errors import PplkitError

try:
    import matplotlib  # noqa: F401
except ValueError:
    raise PplkitError(
        f"MPLBACKEND={os.environ.get('MPLBACKEND')} is no backend of matplotlib: unset it, or set it to Agg."
    ) from None
from pplkit.viz.drawing import save
from pplkit.viz.evaluation import ablation_points, best_and_worst, coverage_bars, error_bars, keypoint_errors
from pplkit.viz.images import contact_sheet, landmarks_on_images, object_crops, pose_spread, video_strips
from pplkit.viz.lifting import hiding_curves, joint_paths, lifted_poses, lifting_errors, lifting_state
from pplkit.viz.occlusion import (
    confidence_figure,
    memory_attraction,
    occlusion_amounts,
    occlusion_curves,
    occlusion_rounds,
)
from pplkit.viz.overlay import pose_images, pose_video, shown_file, track_video
from pplkit.viz.prior import bank_effects, bank_usage, prior_evolution, prior_figure, priors_figure, prototypes_figure
from pplkit.viz.scene import Scene
from pplkit.viz.scene_layers import Points
from pplkit.viz.tracking import jitter_bars, tracks_over_time, tracks_vs_truth
from pplkit.viz.training import reconstructions, training_batch, training_curves, training_state, variant_curves

__all__ = [
    "Points", "Scene", "ablation_points", "bank_effects", "bank_usage", "best_and_worst", "confidence_figure",
    "contact_sheet", "coverage_bars", "error_bars", "hiding_curves", "jitter_bars", "joint_paths", "keypoint_errors",
    "landmarks_on_images", "lifted_poses", "lifting_errors", "lifting_state", "memory_attraction", "object_crops",
    "occlusion_amounts", "occlusion_curves", "occlusion_rounds", "pose_images", "pose_spread", "pose_video",
    "prior_evolution", "prior_figure", "priors_figure", "prototypes_figure", "reconstructions", "save", "shown_file",
    "track_video", "tracks_over_time", "tracks_vs_truth", "training_batch", "training_curves", "training_state",
    "variant_curves", "video_strips",
]  # fmt: skip
