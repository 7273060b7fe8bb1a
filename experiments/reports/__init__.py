"""Reports: pages, tables, figures and claims from estimates; nothing here computes a statistic."""
