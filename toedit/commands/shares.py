"""Tokens of a scored sample that rules would change; the threshold that changes a share of them."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from toedit.editor import ScoredDocument, edit_documents
from toedit.errors import UserError
from toedit.priors.base import CandidateRange, Vocabulary
from toedit.rules import PRESETS, EditRule
from toedit.stats.edits import EditStats

THRESHOLDS = (0.999, 0.99, 0.95, 0.9, 0.7, 0.5)
RULES = {
    **{name: rule for name, rule in PRESETS.items() if name != "none"},
    **{f"temperature {t:g}": EditRule(temperature=t) for t in (2.0, 3.0)},
}
"""Rules of the table's columns."""

TABLE = CandidateRange(8, min(THRESHOLDS))
"""Candidates that the table needs."""

EQUAL = 1e-6
"""Probabilities no further apart are taken for equal: the same text in two places."""

LOWEST = 1e-30


def totals(
    scored: Sequence[ScoredDocument], rule: EditRule, vocabulary: Vocabulary
) -> tuple[EditStats, float]:
    """The statistics of a rule on a sample, whose ``smoothing`` is the expected number of changes,
    and the variance of that number over seeds."""
    total, variance = EditStats(), 0.0
    for edited in edit_documents(scored, rule, vocabulary):
        total.add(edited.stats)
        if edited.edit is not None:
            stay = edited.edit.stay[edited.edit.eligible].clip(0, 1)
            variance += float((stay * (1 - stay)).sum())
    return total, variance


def table(scored: Sequence[ScoredDocument], vocabulary: Vocabulary) -> str:
    """Eligible and changed tokens, % of all, by threshold, for presets and temperatures."""
    rows = [["threshold", "eligible", *RULES]]
    for threshold in THRESHOLDS:
        found = [totals(scored, replace(rule, threshold=threshold), vocabulary)[0]
                 for rule in RULES.values()]  # fmt: skip
        tokens = max(found[0].tokens, 1)
        shares = [found[0].eligible / tokens, *(stats.smoothing / tokens for stats in found)]
        rows.append([f"{threshold:g}", *(f"{100 * share:.2f}" for share in shares)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.rjust, row, widths)) for row in rows]
    return "\n".join(["share of tokens that is eligible, and that each rule changes, %:", *lines])


def line(scored: Sequence[ScoredDocument], rule: EditRule, vocabulary: Vocabulary) -> str:
    """What a rule would change of a sample, and within which limits 95 % of seeds do."""
    stats, variance = totals(scored, rule, vocabulary)
    tokens = max(stats.tokens, 1)
    eligible, changed = stats.eligible / tokens, (stats.smoothing + stats.deleted) / tokens
    return (
        f"of a sample of {stats.tokens:,} tokens {100 * eligible:.2f} % are eligible and "
        f"{100 * changed:.2f} ± {196 * math.sqrt(variance) / tokens:.2f} % (95 % of seeds) would "
        f"change ({rule.describe()})"
    )


def threshold_for(
    scored: Sequence[ScoredDocument],
    rule: EditRule,
    vocabulary: Vocabulary,
    target: float,
    lowest: float = LOWEST,
) -> float:
    """Find the threshold at which a rule is expected to change a share of the tokens.

    Args:
        scored: a sample, with candidates at tokens with at least ``lowest`` probability.
        rule: the rule, whose threshold does not count.
        vocabulary: of the prior.
        target: changed tokens of all tokens.
        lowest: the lowest threshold to consider.

    Returns:
        The shortest decimal number that makes the same tokens eligible.

    Raises:
        UserError: no threshold changes as many.
    """
    probabilities, changes, tokens, low = [], [], 0, replace(rule, threshold=lowest)
    for edited in edit_documents(scored, low, vocabulary):
        if edited.edit is not None and edited.scores is not None:
            at = edited.edit.eligible
            probabilities.append(np.exp(edited.scores.logprobs[at].astype(np.float64)))
            changes.append(1 - edited.edit.stay[at])
            tokens += len(at)
    p, change = (np.concatenate([*parts, [0.0]]) for parts in (probabilities, changes))
    order = np.argsort(-p, kind="stable")
    share = change[order].cumsum() / max(tokens, 1)
    if share[-1] < target:
        raise UserError(
            f"--target-changed {100 * target:g}%: even '{low.describe()}' changes "
            f"{100 * share[-1]:.3g} % of the sample; raise --temperature, take --preset forced, or "
            "with --scores score again with a lower --above"
        )
    # Tokens of equal probability are eligible together.
    ends = np.flatnonzero(np.diff(p[order], append=-1.0) < -EQUAL)
    last = float(p[order][ends[np.abs(share[ends] - target).argmin()]])
    return _decimal(float(p[p < last - EQUAL].max(initial=0.0)), last, rule.strict)


def _decimal(low: float, high: float, strict: bool) -> float:
    """The shortest number above ``low`` and up to ``high``, which a strict bound leaves out."""
    for digits in range(1, 17):
        value = math.floor(high * 10**digits) / 10**digits
        if low < value <= high and not (strict and value == high):
            return value
    return (low + high) / 2 if strict else high
