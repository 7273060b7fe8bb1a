"""ToEdit: redraw the tokens that a prior is almost certain of (section 4 of the paper, Eq. 2).

    x'_i = x_i                      where P(x_i | x_<i) < p
    x'_i ~ P(. | x_<i), truncated   otherwise

All probabilities come from one forward pass over the source text, so each position is conditioned
on the ORIGINAL prefix. Editing is not autoregressive: all positions are redrawn at once.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from toedit.errors import UserError
from toedit.priors.base import TokenScores, Vocabulary
from toedit.rules import EditRule
from toedit.sampling import KeyedUniforms, Sampler, make_sampler, row_sums

DELETED = -1
"""Token id of a deleted token in :attr:`Edit.ids`."""


@dataclass(slots=True)
class Edit:
    """The edited tokens of a document, or of several documents in a row.

    Attributes:
        ids: int32 ``[n]``, the token at each source position after editing, or ``DELETED``.
        eligible: bool ``[n]``, the rule applied here.
        stay: float64 ``[n]``, exact probability that the token stays; 1 if it is not eligible.
        rounds: int32 ``[n]``, proposals drawn; more than one only in rejection sampling.
        gave_up: bool ``[n]``, no proposal was accepted, so the source token stayed.
    """

    ids: np.ndarray
    eligible: np.ndarray
    stay: np.ndarray
    rounds: np.ndarray
    gave_up: np.ndarray


ARRAYS = tuple(field.name for field in fields(Edit))
"""Names of the arrays of an :class:`Edit`."""


def split_edit(edit: Edit, ends: np.ndarray) -> Iterator[Edit]:
    """Split the edit of several documents whose tokens end at ``ends``."""
    arrays = [getattr(edit, name) for name in ARRAYS]
    start = 0
    for end in ends.tolist():
        yield Edit(*[array[start:end] for array in arrays])
        start = end


def applies(rule: EditRule, logprobs: np.ndarray) -> np.ndarray:
    """Test a rule's condition on p, bool ``[n]``; False where a token is not scored (NaN)."""
    low = math.log(rule.threshold) if rule.threshold is not None else -math.inf
    high = math.log(rule.ceiling) if rule.ceiling is not None else math.inf
    logprobs = logprobs.astype(np.float64)
    if rule.strict:
        return (logprobs > low) & (logprobs < high)
    return (logprobs >= low) & (logprobs <= high)


def edit_tokens(
    scores: TokenScores,
    rule: EditRule,
    vocabulary: Vocabulary,
    uniforms: KeyedUniforms,
    editable: np.ndarray | None = None,
) -> Edit:
    """Apply a rule to the scores of one document, or of several joined together.

    Args:
        scores: scores of one forward pass of the prior over each document.
        rule: the editing rule.
        vocabulary: the prior's, which says what ids may be proposed.
        uniforms: the documents' random numbers.
        editable: bool ``[n]``, tokens that may change; None for all.

    Raises:
        ValueError: the scores have no candidates at a position that the rule edits.
    """
    source = scores.tokens.ids
    replaceable = scores.tokens.has_exact_span
    if editable is not None:
        replaceable = replaceable & editable
    minimum = math.log(rule.delete_below) if rule.delete_below is not None else -math.inf
    deleted = (scores.logprobs < minimum) & replaceable
    eligible = applies(rule, scores.logprobs) & replaceable & ~deleted
    n = len(source)
    edit = Edit(source.copy(), eligible, np.ones(n), np.zeros(n, np.int32), np.zeros(n, bool))
    sampler = make_sampler(rule)
    positions = np.flatnonzero(eligible)
    if sampler is not None and len(positions):
        ids, logprobs, allowed = _candidates(scores, rule, positions, sampler, vocabulary)
        drawable = allowed.any(axis=1)
        ids, positions = ids[drawable], positions[drawable]
        logprobs = np.where(allowed, logprobs, -np.inf)[drawable].astype(np.float64, order="F")
        probabilities = sampler.distribution(logprobs)
        is_source = ids == source[positions, None]
        edit.stay[positions] = row_sums(probabilities * is_source)[:, 0]
        if getattr(sampler, "may_give_up", True):  # then the source token stays, too
            edit.stay[positions] += 1 - row_sums(probabilities)[:, 0]
        numbers = uniforms(positions, sampler.draws)
        column, edit.rounds[positions] = sampler.draw(logprobs, probabilities, numbers)
        edit.gave_up[positions] = column < 0
        drawn = ids[np.arange(len(ids)), column]
        edit.ids[positions] = np.where(column < 0, source[positions], drawn)
    edit.ids[deleted] = DELETED
    return edit


def _candidates(
    scores: TokenScores,
    rule: EditRule,
    positions: np.ndarray,
    sampler: Sampler,
    vocabulary: Vocabulary,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return candidate ids, their log-probabilities and whether they may be drawn, ``[m, c]``."""
    rows = np.searchsorted(scores.rows, positions)
    if (rows == len(scores.rows)).any() or (scores.rows[rows] != positions).any():
        raise UserError(
            f"the scores hold no candidates for some tokens that the rule edits "
            f"({rule.describe()}); score for this rule too"
        )
    ids, logprobs = scores.candidate_ids[rows], scores.candidate_logprobs[rows]
    source = scores.tokens.ids[positions, None]
    # The source token may stay even if it may not be proposed (a U+FFFD in the text).
    allowed = sampler.support(logprobs) & (vocabulary.proposable[ids] | (ids == source))
    if rule.source_token == "included":
        missing = ~(allowed & (ids == source)).any(axis=1, keepdims=True)
        ids = np.concatenate([ids, source], axis=1)
        logprobs = np.concatenate([logprobs, scores.logprobs[positions, None]], axis=1)
        allowed = np.concatenate([allowed, missing], axis=1)
    elif rule.source_token == "excluded":
        allowed = allowed & (ids != source)
    return ids, logprobs, allowed
