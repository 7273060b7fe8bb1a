"""The slow variant: each position sees the edited prefix instead of the original one.

The paper's editing conditions every position on the source text. Here a redrawn token changes what
comes after it. Nothing before the first change differs from the source, so one forward pass settles
everything up to and including that change, the next pass continues behind it, and a document takes
one pass more than it has changes.
"""

from dataclasses import replace

import numpy as np

from toedit.document import Tokens
from toedit.edit import Edit, edit_tokens
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
    """Applies a rule from left to right, each position conditioned on the edited prefix.

    Args:
        tokens: the source document.
        prior: the language model.
        candidates: alternatives the rule needs.
        rule: what is edited and how.
        uniforms: the document's randomness.
        editable: bool ``[n]``, tokens that may change; None for all.

    Returns:
        The edited tokens, whose eligibility and probabilities are those under the edited prefix,
        and the operations of all passes (:attr:`TokenScores.flops`).

    Raises:
        UserError: the rule deletes tokens, after which positions no longer correspond.
    """
    if rule.delete_below is not None:
        raise UserError("autoregressive editing cannot delete tokens; leave out delete_below")
    current, settled, flops = tokens.ids.copy(), 0, 0
    result: Edit | None = None
    while True:
        (scores,) = prior.score_tokens([replace(tokens, ids=current)], candidates)
        flops += scores.flops
        edit = edit_tokens(scores, rule, prior.vocabulary, uniforms, editable)
        if result is None:
            result = edit
        for name in ("ids", "eligible", "stay", "rounds", "gave_up"):
            getattr(result, name)[settled:] = getattr(edit, name)[settled:]
        changes = np.flatnonzero(edit.ids[settled:] != current[settled:])
        if not len(changes):
            return result, flops
        settled += int(changes[0]) + 1
        current[settled - 1] = edit.ids[settled - 1]
