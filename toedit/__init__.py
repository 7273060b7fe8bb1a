"""ToEdit: edit human text with a language model instead of synthesizing it.

    from toedit import EditRule, PriorConfig, edit_texts, load_prior
    edited = edit_texts(["..."], load_prior(PriorConfig()), EditRule())

Importing this package imports no torch; each name is imported on first use.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_MODULES = {
    "Document": "toedit.document",
    "EditRule": "toedit.rules",
    "EditStats": "toedit.stats.edits",
    "PRESETS": "toedit.rules",
    "PriorConfig": "toedit.priors",
    "UserError": "toedit.errors",
    "edit_texts": "toedit.editor",
    "edit_tokens": "toedit.edit",
    "load_prior": "toedit.priors",
}

__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'toedit' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
