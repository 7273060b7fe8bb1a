"""Runs: configuration, stages, plans and the entry points that use ``toedit`` and ``evals``."""
