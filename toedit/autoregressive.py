"""Autoregressive editing: each position is conditioned on the edited prefix (slow).

The paper's editing conditions every position on the source text. Here a redrawn token changes the
context of later positions. Before the first change nothing differs from the source, so one forward
pass fixes all tokens up to and including that change, and the next pass continues after it. A
document takes one pass more than it has changes.
"""

from dataclasses import replace

import numpy as np

from toedit.document import Tokens
from toedit.edit import ARRAYS, Edit, edit_tokens
from toedit.errors import UserError
from toedit.priors.base import CandidateRange, Prior
from toedit.rules import EditRule
from toedit.sampling import KeyedUniforms


def edit_autoregressively(
    tokens: Tokens,
    prior: Prior,
    candidates: CandidateRange,
    rule: EditRule,
    uniforms: KeyedUniforms,
    editable: np.ndarray | None = None,
) -> tuple[Edit, int]:
    """Apply a rule to one document from left to right.

    Args:
        tokens: the source document.
        prior: the language model.
        candidates: alternatives that the rule needs.
        rule: the editing rule.
        uniforms: the document's random numbers.
        editable: bool ``[n]``, tokens that may change; None for all.

    Returns:
        The edit, with eligibility and probabilities under the edited prefix, and the
        floating-point operations of all passes (:attr:`TokenScores.flops`).

    Raises:
        UserError: the rule deletes tokens, which would shift later positions.
    """
    if rule.delete_below is not None:
        raise UserError("autoregressive editing cannot delete tokens; leave out delete_below")
    current, fixed_until, flops = tokens.ids.copy(), 0, 0
    result: Edit | None = None
    while True:
        (scores,) = prior.score_tokens([replace(tokens, ids=current)], candidates)
        flops += scores.flops
        edit = edit_tokens(scores, rule, prior.vocabulary, uniforms, editable)
        if result is None:
            result = edit
        for name in ARRAYS:
            getattr(result, name)[fixed_until:] = getattr(edit, name)[fixed_until:]
        changes = np.flatnonzero(edit.ids[fixed_until:] != current[fixed_until:])
        if not len(changes):
            return result, flops
        fixed_until += int(changes[0]) + 1
        current[fixed_until - 1] = edit.ids[fixed_until - 1]
