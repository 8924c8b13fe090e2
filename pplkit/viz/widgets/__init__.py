"""Widgets for notebooks."""

from pplkit.viz.widgets.landmark_labeller import LandmarkLabeller
from pplkit.viz.widgets.prior_explorer import PriorExplorer
from pplkit.viz.widgets.scene_view import SceneView
from pplkit.viz.widgets.training_monitor import TrainingMonitor

LandmarkClicks = LandmarkLabeller  # its name in 0.1.0

__all__ = ["LandmarkClicks", "LandmarkLabeller", "PriorExplorer", "SceneView", "TrainingMonitor"]
