"""ToEdit: edit human text with a language model instead of synthesizing it.

    from toedit import PRESETS, PriorConfig, edit_texts, load_prior
    (edited,) = edit_texts(["..."], load_prior(PriorConfig()), PRESETS["released_code"])
    print(edited.document.text, edited.changes)

Importing this package imports no torch; each name is imported on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from toedit.document import Document as Document
    from toedit.edit import edit_tokens as edit_tokens
    from toedit.editor import Change as Change
    from toedit.editor import EditedDocument as EditedDocument
    from toedit.editor import edit_scored as edit_scored
    from toedit.editor import edit_texts as edit_texts
    from toedit.editor import score_texts as score_texts
    from toedit.errors import UserError as UserError
    from toedit.pipeline import EditStep as EditStep
    from toedit.pipeline import ScoreStep as ScoreStep
    from toedit.priors import PriorConfig as PriorConfig
    from toedit.priors import load_prior as load_prior
    from toedit.priors.base import TokenScores as TokenScores
    from toedit.rules import PRESETS as PRESETS
    from toedit.rules import EditRule as EditRule
    from toedit.sampling import Rejection as Rejection
    from toedit.sampling import Sampler as Sampler
    from toedit.sampling import TopK as TopK
    from toedit.sampling import TopP as TopP
    from toedit.stats.edits import EditStats as EditStats

_MODULES = {
    "Change": "toedit.editor",
    "Document": "toedit.document",
    "EditRule": "toedit.rules",
    "EditStats": "toedit.stats.edits",
    "EditStep": "toedit.pipeline",
    "EditedDocument": "toedit.editor",
    "PRESETS": "toedit.rules",
    "PriorConfig": "toedit.priors",
    "Rejection": "toedit.sampling",
    "Sampler": "toedit.sampling",
    "ScoreStep": "toedit.pipeline",
    "TokenScores": "toedit.priors.base",
    "TopK": "toedit.sampling",
    "TopP": "toedit.sampling",
    "UserError": "toedit.errors",
    "edit_scored": "toedit.editor",
    "edit_texts": "toedit.editor",
    "edit_tokens": "toedit.edit",
    "load_prior": "toedit.priors",
    "score_texts": "toedit.editor",
}

__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'toedit' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, *globals()]
