"""Strings in, edited strings out: scoring, editing and splicing of one document after another."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol, TypeVar

import numpy as np

from toedit.autoregressive import edit_autoregressively
from toedit.document import Document, inside, shifted, splice
from toedit.edit import DELETED, Edit, edit_tokens
from toedit.errors import UserError
from toedit.priors.base import CandidateRange, Prior, TokenScores, Vocabulary
from toedit.rules import EditRule
from toedit.sampling import NUCLEUS_CANDIDATES
from toedit.stats.edits import EditStats

log = logging.getLogger(__name__)

SHOWN = 8
"""Alternatives that a :class:`Change` names."""


@dataclass(frozen=True)
class Change:
    """One token that was replaced or deleted.

    Attributes:
        start: first character of the token in the source text.
        old: the token's text.
        new: what stands there now; empty where it was deleted.
        probability: P(token | prefix) under the prior.
        candidates: texts of the prior's first alternatives, most probable first.
        probabilities: their probabilities.
    """

    start: int
    old: str
    new: str
    probability: float
    candidates: tuple[str, ...]
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class EditedDocument:
    """A document after editing, with its edit where it could be edited."""

    document: Document
    edit: Edit | None
    stats: EditStats
    changes: tuple[Change, ...] = ()


def candidates_for(rule: EditRule) -> CandidateRange:
    """The alternatives a rule needs of the prior, and no more."""
    if rule.sampler == "none":
        return CandidateRange()
    k = NUCLEUS_CANDIDATES if rule.sampler == "top_p" else rule.k
    return CandidateRange(k, rule.threshold, rule.ceiling if rule.threshold is None else None)


def edit_document(
    document: Document,
    scores: TokenScores | None,
    rule: EditRule,
    vocabulary: Vocabulary,
    seed: int = 0,
    generation: int = 0,
    autoregressive: Prior | None = None,
) -> EditedDocument:
    """Applies a rule to a scored document and writes the result back into its text.

    A document without scores (its scoring failed) is kept as it is and counted as failed.

    Args:
        document: the source.
        scores: the prior's scores of its text, or None.
        rule: the editing rule.
        vocabulary: the text of each token of the prior, and which may be proposed.
        seed: seed of the run.
        generation: how many times the text was edited before.
        autoregressive: the prior, to let each position see the edited prefix (several passes).

    Returns:
        The edited document; id and metadata are the source's own.
    """
    if scores is None:
        return EditedDocument(document, None, EditStats(documents=1, failed=[document.id]))
    tokens, key = scores.tokens, (document.id, seed, generation)
    editable = inside(tokens, document.editable)
    if autoregressive is None:
        edit = edit_tokens(scores, rule, vocabulary, *key, editable)
    else:
        need = candidates_for(rule)
        edit = edit_autoregressively(tokens, autoregressive, need, rule, *key, editable)
    changed = (edit.ids != tokens.ids).nonzero()[0]
    replacements = {
        int(i): "" if edit.ids[i] == DELETED else vocabulary.pieces[edit.ids[i]] or ""
        for i in changed
    }
    edited = replace(
        document,
        text=splice(document.text, tokens, replacements),
        editable=shifted(document.editable, tokens, replacements),
    )
    changes = _changes(document.text, scores, replacements, vocabulary)
    return EditedDocument(edited, edit, EditStats.of(scores, edit), changes)


def _changes(
    text: str, scores: TokenScores, replacements: dict[int, str], vocabulary: Vocabulary
) -> tuple[Change, ...]:
    found = []
    rows = np.searchsorted(scores.rows, list(replacements))
    for (i, new), row in zip(replacements.items(), rows, strict=True):
        kept = row < len(scores.rows) and scores.rows[row] == i
        ids = scores.candidate_ids[row, :SHOWN].tolist() if kept else []
        values = np.exp(scores.candidate_logprobs[row, :SHOWN]).tolist() if kept else []
        start, end = int(scores.tokens.starts[i]), int(scores.tokens.ends[i])
        pieces = tuple((vocabulary.pieces[c] if c < len(vocabulary.pieces) else None) or ""
                       for c in ids)  # fmt: skip
        probability = math.exp(scores.logprobs[i])
        found.append(Change(start, text[start:end], new, probability, pieces, tuple(values)))
    return tuple(found)


class HasText(Protocol):
    """Anything with a text: our documents, and datatrove's."""

    text: str


Texted = TypeVar("Texted", bound=HasText)


def score_documents(
    documents: Iterable[Texted], prior: Prior, candidates: CandidateRange, group: int = 64
) -> Iterator[tuple[Texted, TokenScores | None]]:
    """Scores a stream of documents, a group at a time, so that batches hold similar lengths.

    A group that fails is scored again document by document; one that fails alone yields None.
    """
    stream = iter(documents)
    while chunk := list(islice(stream, group)):
        yield from zip(chunk, _score_group([d.text for d in chunk], prior, candidates), strict=True)


def _score_group(
    texts: Sequence[str], prior: Prior, candidates: CandidateRange
) -> list[TokenScores | None]:
    try:
        return list(prior.score(texts, candidates))
    except (RuntimeError, ValueError, TypeError, IndexError, OverflowError) as error:
        if "CUDA error" in str(error):
            reason = " ".join(str(error).split())[:160]
            raise UserError(f"the accelerator failed ({reason}); run again to continue") from error
        if len(texts) == 1:
            reason = " ".join(str(error).split())[:200]
            log.warning("a document of %d characters cannot be scored: %s", len(texts[0]), reason)
            return [None]
        return [scores for text in texts for scores in _score_group([text], prior, candidates)]


def edit_texts(
    texts: Sequence[str], prior: Prior, rule: EditRule, seed: int = 0
) -> list[EditedDocument]:
    """Edits strings.

    Args:
        texts: the source texts; a text's place in the list is its id.
        prior: the language model.
        rule: what is edited and how.
        seed: the same seed gives the same edits.

    Returns:
        One edited document a text, in order.
    """
    documents = [Document(str(i), text) for i, text in enumerate(texts)]
    scored = score_documents(documents, prior, candidates_for(rule))
    return [
        edit_document(document, scores, rule, prior.vocabulary, seed) for document, scores in scored
    ]
