"""Experiments: configuration, stages, plans and programs that use ``toedit`` and ``evals``."""

from pathlib import Path

CONF = Path(__file__).resolve().parent.parent / "conf"
"""Folder of the configuration files."""
