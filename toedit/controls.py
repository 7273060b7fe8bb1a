"""Controls of ToEdit: random edits, and the spans and amount of label smoothing.

Random edits change as many tokens of a document as the rule does, with the same sampler, but
anywhere in the text instead of where the prior is almost certain. Label smoothing is the other
control. It belongs to training, which needs to know what tokens the rule may redraw and how
probably it replaces them.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from toedit.document import Document, inside
from toedit.edit import DELETED, Edit, edit_tokens
from toedit.errors import UserError
from toedit.priors.base import TokenScores, Vocabulary
from toedit.rules import EditRule
from toedit.sampling import KeyedUniforms

log = logging.getLogger(__name__)


def everywhere(rule: EditRule) -> EditRule:
    """Drop the rule's condition on p: redraw every token, and never as itself."""
    rule = replace(rule, threshold=None, ceiling=1.0, strict=False, delete_below=None)
    return replace(rule, source_token="excluded")


def random_edits(
    edit: Edit,
    scores: TokenScores,
    rule: EditRule,
    vocabulary: Vocabulary,
    uniforms: KeyedUniforms,
    editable: np.ndarray | None = None,
) -> Edit:
    """Make as many edits in each document as a rule made, at random positions.

    Positions are drawn uniformly without replacement: first the tokens to change, from all editable
    tokens that can become another one, then the tokens to delete, from all others. Each token drawn
    to change does change. If rejection sampling accepts no proposal, the token cannot be drawn.

    Args:
        edit: the rule's edit of one document, or of several joined together.
        scores: scores of one forward pass over each, with candidates at every token.
        rule: the editing rule, for its sampler.
        vocabulary: of the prior.
        uniforms: the random numbers that ``edit`` was drawn from; the control uses other keys.
        editable: bool ``[n]``, tokens that may change; None for all.

    Returns:
        The control's edit. ``eligible`` are the tokens drawn to change, whose ``stay`` is 0.

    Raises:
        ValueError: the scores have no candidates at an editable token.
    """
    source, n = scores.tokens.ids, len(edit.ids)
    ends = np.array(uniforms.ends if len(uniforms.ends) else [n])
    token_uniforms = _with_key("random token", uniforms)
    redrawn = edit_tokens(scores, everywhere(rule), vocabulary, token_uniforms, editable)
    order = _with_key("random position", uniforms)(np.arange(n), 1)[:, 0]
    removed = edit.ids == DELETED
    replaced = (edit.ids != source) & ~removed
    changed = _first(order, redrawn.ids != source, _counts(replaced, ends), ends)
    deleted = _first(order, redrawn.eligible & ~changed, _counts(removed, ends), ends)
    missing = _counts(replaced | removed, ends) - _counts(changed | deleted, ends)
    if missing.any():
        short = [uniforms.documents[i] for i in missing.nonzero()[0][:20]]
        log.warning("warning: %d random edits find no token to change: %s", missing.sum(), short)
    ids = np.where(changed, redrawn.ids, source)
    ids[deleted] = DELETED
    rounds = np.where(changed, redrawn.rounds, 0)
    return Edit(ids, changed, np.where(changed, 0.0, 1.0), rounds, np.zeros(n, bool))


Control = Callable[
    [Edit, TokenScores, EditRule, Vocabulary, KeyedUniforms, np.ndarray | None], Edit
]

CONTROLS: dict[str, Control] = {"random": random_edits}
"""Functions that replace the edits of a rule, by name."""


def _with_key(key: str, uniforms: KeyedUniforms) -> KeyedUniforms:
    """Return the random numbers of the same documents under another key."""
    return replace(uniforms, documents=[f"{key}\x1f{name}" for name in uniforms.documents])


def _counts(mask: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Count the tokens of each document in a mask, int ``[documents]``."""
    return np.diff(np.concatenate([[0], mask.cumsum()])[ends], prepend=0)


def _first(
    order: np.ndarray, allowed: np.ndarray, counts: np.ndarray, ends: np.ndarray
) -> np.ndarray:
    """Mark the first allowed tokens of each document in a random order, bool ``[n]``.

    ``counts`` are the tokens to mark in each document.
    """
    positions = allowed.nonzero()[0]
    document = np.searchsorted(ends, positions, side="right")
    rank = np.arange(len(positions)) - np.searchsorted(document, document)
    in_order = positions[np.lexsort((order[positions], document))]
    first = np.zeros(len(order), bool)
    first[in_order[rank < counts[document]]] = True
    return first


def eligible_spans(
    document: Document, scores: TokenScores, rule: EditRule, vocabulary: Vocabulary
) -> list[tuple[int, int]]:
    """Return the character spans of the tokens that a rule may redraw, in order.

    Their labels get smoothed instead. The scores need no candidates, and the tokens are those that
    :class:`~toedit.stats.edits.EditStats` counts as eligible.
    """
    keys, mask = KeyedUniforms([document.id]), inside(scores.tokens, document.editable)
    eligible = edit_tokens(scores, replace(rule, sampler="none"), vocabulary, keys, mask).eligible
    starts, ends = scores.tokens.starts[eligible], scores.tokens.ends[eligible]
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def smoothing_amount(summary: Mapping[str, Any]) -> float:
    """Return the label smoothing that a rule amounts to: its mean probability of replacement.

    Args:
        summary: :meth:`toedit.stats.edits.EditStats.summary`, whose ``smoothing`` is the exact mean
            over eligible tokens.

    Raises:
        UserError: the rule applied to no token.
    """
    if not summary["eligible"]:
        raise UserError(
            f"the rule applied to none of {summary['tokens']} tokens, so there is no label to "
            "smooth; lower edit.threshold or give more text"
        )
    return float(summary["smoothing"])
