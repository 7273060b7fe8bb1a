"""From records to conclusions: observations of items, estimates with intervals, verdicts.

The one place that computes a statistic; pages, tables, claims, sweeps and wandb print what it
returns (docs/analysis.md).
"""
