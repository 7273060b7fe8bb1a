"""Statistics of recorded results: observations of items, estimates with intervals, verdicts.

No other package computes statistics; pages, tables, claims, sweeps and wandb print the results
(docs/analysis.md).
"""
