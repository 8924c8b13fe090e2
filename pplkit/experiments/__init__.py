"""Notebooks run in order, plans, batches, ablations, the report."""
