"""Protocols, metrics, reports, the occlusion experiment."""

from pplkit.evaluation.occlusion import occlusion_report
from pplkit.evaluation.protocols import Score, evaluate, mean_pose_error
from pplkit.evaluation.report import evaluation_report

__all__ = ["Score", "evaluate", "evaluation_report", "mean_pose_error", "occlusion_report"]
