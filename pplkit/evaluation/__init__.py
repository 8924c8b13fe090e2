"""Protocols, metrics, reports, the occlusion experiment, diagnosis of a training."""

from pplkit.evaluation.diagnosis.report import diagnose, finding_table
from pplkit.evaluation.occlusion import occlusion_report
from pplkit.evaluation.protocols import Score, evaluate, mean_pose_error
from pplkit.evaluation.report import evaluation_report

__all__ = ["Score", "diagnose", "evaluate", "evaluation_report", "finding_table", "mean_pose_error", "occlusion_report"]
