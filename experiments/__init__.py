"""Runs: configuration, stages, plans and the entry points that use ``toedit`` and ``evals``."""

from pathlib import Path

CONF = Path(__file__).resolve().parent.parent / "conf"
"""Where the configuration files stand."""
