"""ToEdit: redraw the tokens a prior finds almost certain (section 4 of the paper, Eq. 2).

    x'_i = x_i                      where P(x_i | x_<i) < p
    x'_i ~ P(. | x_<i), truncated   otherwise

Every probability comes from one forward pass over the source text, so each position is conditioned
on the ORIGINAL prefix: editing is not autoregressive, and all positions are redrawn at once.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np

from toedit.priors.base import TokenScores, Vocabulary
from toedit.rules import EditRule
from toedit.sampling import KeyedUniforms, make_sampler, row_sums

DELETED = -1
"""Token id of a deleted token in :attr:`Edit.ids`."""


@dataclass(slots=True)
class Edit:
    """What a rule did to the tokens of one document, or of several in a row.

    Attributes:
        ids: int32 ``[n]``, the token at each source position after editing, or ``DELETED``.
        eligible: bool ``[n]``, the rule applied here.
        stay: float64 ``[n]``, exact probability that the token was left as it is; 1 where the rule
            did not apply.
        rounds: int32 ``[n]``, proposals drawn here; more than one only in rejection sampling.
        gave_up: bool ``[n]``, no proposal was accepted, so the source token stayed.
    """

    ids: np.ndarray
    eligible: np.ndarray
    stay: np.ndarray
    rounds: np.ndarray
    gave_up: np.ndarray


def join_edits(parts: Sequence[Edit]) -> Edit:
    """The edits of several documents in a row."""
    names = [field.name for field in fields(Edit)]
    return Edit(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def split_edit(edit: Edit, ends: np.ndarray) -> Iterator[Edit]:
    """The edit of each document of several in a row."""
    start = 0
    for end in ends:
        part = slice(start, end)
        yield Edit(
            edit.ids[part],
            edit.eligible[part],
            edit.stay[part],
            edit.rounds[part],
            edit.gave_up[part],
        )
        start = end


def applies(rule: EditRule, logprobs: np.ndarray) -> np.ndarray:
    """Where a rule's condition on p holds, bool ``[n]``; never at an unscored (NaN) position."""
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
    """Applies a rule to the scores of one document, or of several joined together.

    Args:
        scores: one forward pass of the prior over each document.
        rule: what is edited and how.
        vocabulary: which ids may be written into a text.
        uniforms: the documents' randomness.
        editable: bool ``[n]``, tokens that may change; None for all (a prompt may not).

    Returns:
        The edited tokens. Only eligible positions differ from the source, and deleted ones.

    Raises:
        ValueError: the scores hold no candidates for a position the rule edits.
    """
    source = scores.tokens.ids
    below = math.log(rule.delete_below) if rule.delete_below is not None else -math.inf
    open_ = scores.tokens.whole if editable is None else scores.tokens.whole & editable
    deleted = (scores.logprobs < below) & open_
    eligible = applies(rule, scores.logprobs) & open_ & ~deleted
    n = len(source)
    edit = Edit(source.copy(), eligible, np.ones(n), np.zeros(n, np.int32), np.zeros(n, bool))
    sampler = make_sampler(rule)
    positions = np.flatnonzero(eligible)
    if sampler is not None and len(positions):
        ids, logprobs, allowed = _candidates(
            scores, rule, positions, sampler.support, vocabulary.proposable
        )
        possible = allowed.any(axis=1)
        ids, positions = ids[possible], positions[possible]
        logits = np.where(allowed, logprobs, -np.inf)[possible].astype(np.float64, order="F")
        same = ids == source[positions, None]
        drawn = sampler.distribution(logits)
        # Where no draw is accepted the source token stays too; only rejection sampling gives up.
        given_up = 1 - row_sums(drawn)[:, 0] if rule.sampler == "rejection" else 0.0
        edit.stay[positions] = row_sums(drawn * same)[:, 0] + given_up
        chance = uniforms(positions, sampler.draws)
        column, edit.rounds[positions] = sampler.draw(logits, drawn, chance)
        edit.gave_up[positions] = column < 0
        edit.ids[positions] = np.where(
            column < 0, source[positions], ids[np.arange(len(ids)), column]
        )
    edit.ids[deleted] = DELETED
    return edit


def _candidates(
    scores: TokenScores, rule: EditRule, positions: np.ndarray, support, proposable: np.ndarray
):
    """Candidate ids, their log-probabilities and which may be drawn, ``[m, c]`` each."""
    rows = np.searchsorted(scores.rows, positions)
    found = rows < len(scores.rows)
    if not found.all() or (scores.rows[rows] != positions).any():
        raise ValueError(
            f"the scores hold no candidates for some tokens that the rule edits ({rule.describe()})"
        )
    ids, logprobs = scores.candidate_ids[rows], scores.candidate_logprobs[rows]
    source = scores.tokens.ids[positions, None]
    # The source token may stay even if it would never be proposed (a U+FFFD that is in the text).
    allowed = support(logprobs) & (proposable[ids] | (ids == source))
    if rule.source_token == "included":
        missing = ~(allowed & (ids == source)).any(axis=1, keepdims=True)
        ids = np.concatenate([ids, source], axis=1)
        logprobs = np.concatenate([logprobs, scores.logprobs[positions, None]], axis=1)
        allowed = np.concatenate([allowed, missing], axis=1)
    elif rule.source_token == "excluded":
        allowed = allowed & (ids != source)
    return ids, logprobs, allowed
