"""Controls of ToEdit: is it this rule, or would any edit do?

Random edits change as many tokens of a document as the rule does, drawn by the same sampler, but
anywhere in the text instead of where the prior is almost certain. Label smoothing, the other
control, needs to know which tokens the rule may redraw and how often it would; it belongs to
training.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from toedit.document import Document, inside
from toedit.edit import DELETED, Edit, edit_tokens
from toedit.errors import UserError, require_choice
from toedit.priors.base import TokenScores, Vocabulary
from toedit.rules import EditRule
from toedit.sampling import KeyedUniforms

log = logging.getLogger(__name__)


def everywhere(rule: EditRule) -> EditRule:
    """The rule without its condition on p: every token is redrawn, and never as itself."""
    return replace(
        rule,
        threshold=None,
        ceiling=1.0,
        strict=False,
        source_token="excluded",
        delete_below=None,
    )


def random_edits(
    edit: Edit,
    scores: TokenScores,
    rule: EditRule,
    vocabulary: Vocabulary,
    uniforms: KeyedUniforms,
    editable: np.ndarray | None = None,
) -> Edit:
    """As many edits a document as a rule made, at random positions.

    Positions are drawn uniformly without replacement: those to change from all editable tokens
    that can become another one, then those to delete from all others. Each token that is drawn to
    change does change. Rejection sampling may accept no proposal; such a token cannot be drawn.

    Args:
        edit: what the rule did to one document, or to several joined together.
        scores: one forward pass of the prior over each, with candidates at every token.
        rule: the editing rule, for its sampler.
        vocabulary: which ids may be written into a text.
        uniforms: the randomness that ``edit`` was drawn from; the control has keys of its own.
        editable: bool ``[n]``, tokens that may change; None for all (a prompt may not).

    Returns:
        The control's edits. ``eligible`` are the tokens drawn to change, whose ``stay`` is 0.

    Raises:
        ValueError: the scores lack candidates for some editable token.
    """
    source, n = scores.tokens.ids, len(edit.ids)
    ends = np.array(uniforms.ends if len(uniforms.ends) else [n])
    redrawn = edit_tokens(
        scores, everywhere(rule), vocabulary, _under("random token", uniforms), editable
    )
    order = _under("random position", uniforms)(np.arange(n), 1)[:, 0]
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


def control_of(name: str) -> Control:
    """What is done in place of a rule's own edits.

    Raises:
        UserError: there is no control of that name.
    """
    require_choice("control", name, CONTROLS)
    return CONTROLS[name]


def _under(key: str, uniforms: KeyedUniforms) -> KeyedUniforms:
    """The randomness of the same documents under another key."""
    return replace(uniforms, documents=[f"{key}\x1f{name}" for name in uniforms.documents])


def _counts(mask: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """int ``[documents]``: how many tokens of each are in the mask."""
    return np.diff(np.concatenate([[0], mask.cumsum()])[ends], prepend=0)


def _first(
    order: np.ndarray, allowed: np.ndarray, counts: np.ndarray, ends: np.ndarray
) -> np.ndarray:
    """bool ``[n]``: the allowed tokens of each document that come first in a random order, as many
    as its count."""
    at = allowed.nonzero()[0]
    document = np.searchsorted(ends, at, side="right")
    rank = np.arange(len(at)) - np.searchsorted(document, document)
    first = np.zeros(len(order), bool)
    first[at[np.lexsort((order[at], document))][rank < counts[document]]] = True
    return first


def eligible_spans(
    document: Document, scores: TokenScores, rule: EditRule, vocabulary: Vocabulary
) -> list[tuple[int, int]]:
    """Where a text stands that a rule may redraw: the tokens that get smoothed labels instead.

    Args:
        document: the source; what it says is not editable is left out.
        scores: the prior's scores of its text; no candidates are needed.
        rule: the editing rule.
        vocabulary: of the prior.

    Returns:
        First character and one past the last of each token that counts as eligible in
        :class:`~toedit.stats.edits.EditStats`, in order.
    """
    keys, mask = KeyedUniforms([document.id]), inside(scores.tokens, document.editable)
    eligible = edit_tokens(scores, replace(rule, sampler="none"), vocabulary, keys, mask).eligible
    starts, ends = scores.tokens.starts[eligible], scores.tokens.ends[eligible]
    return list(zip(starts.tolist(), ends.tolist(), strict=True))


def smoothing_amount(summary: Mapping[str, Any]) -> float:
    """The label smoothing that a rule amounts to: how probably it replaces an eligible token.

    Args:
        summary: of the rule's edits, :meth:`toedit.stats.edits.EditStats.summary`, which states it
            as ``smoothing``, exactly and not from the draws.

    Raises:
        UserError: the rule applied to no token.
    """
    if not summary["eligible"]:
        raise UserError(
            f"the rule applied to none of {summary['tokens']} tokens, so there is no label to "
            "smooth; lower edit.threshold or give more text"
        )
    return float(summary["smoothing"])
