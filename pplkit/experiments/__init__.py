"""Notebooks run in order, plans, batches, ablations, the report."""

from pplkit.evaluation.occlusion import occlusion_report, occlusion_table, seed_table

__all__ = ["occlusion_report", "occlusion_table", "seed_table"]
