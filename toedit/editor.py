"""Strings in, edited strings out: scoring, editing and splicing of one document after another."""

import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeVar

import numpy as np

from toedit.autoregressive import edit_autoregressively
from toedit.controls import control_of, everywhere
from toedit.document import Document, Tokens, inside, shifted, splice
from toedit.edit import DELETED, Edit, edit_tokens, join_edits, split_edit
from toedit.errors import UserError
from toedit.priors.base import CandidateRange, Prior, TokenScores, Vocabulary, join_scores
from toedit.rules import EditRule
from toedit.sampling import NUCLEUS_CANDIDATES, KeyedUniforms
from toedit.stats.edits import EditStats

log = logging.getLogger(__name__)

SHOWN = 8
"""Alternatives that a :class:`Change` names."""

GROUP_TOKENS = 1 << 15
"""Documents are edited together up to so many tokens, because small arrays cost as much as large
ones."""


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


@dataclass(slots=True)
class EditedDocument:
    """A document after editing.

    Attributes:
        document: with the edited text.
        source: as it was.
        scores: the prior's scores of the source; None where scoring failed.
        edit: what the rule did; None where scoring failed.
        stats: the same, counted.
        vocabulary: of the prior.
    """

    document: Document
    source: Document
    scores: TokenScores | None
    edit: Edit | None
    stats: EditStats
    vocabulary: Vocabulary

    @property
    def changes(self) -> list[Change]:
        """The tokens that were replaced or deleted, in order."""
        if self.edit is None or self.scores is None:
            return []
        return _changes(self.source.text, self.scores, self.edit.ids, self.vocabulary)


def candidates_for(rule: EditRule, control: str | None = None) -> CandidateRange:
    """The alternatives a rule, or a control of it, needs of the prior, and no more.

    Raises:
        UserError: there is no such control.
    """
    if control is not None:
        control_of(control)
        rule = everywhere(rule)
    if rule.sampler == "none":
        return CandidateRange()
    k = NUCLEUS_CANDIDATES if rule.sampler == "top_p" else rule.k
    return CandidateRange(k, rule.threshold, rule.ceiling if rule.threshold is None else None)


def edit_documents(
    scored: Iterable[tuple[Document, TokenScores | None]],
    rule: EditRule,
    vocabulary: Vocabulary,
    seed: int = 0,
    generation: int = 0,
    autoregressive: Prior | None = None,
    control: str | None = None,
) -> Iterator[EditedDocument]:
    """Applies a rule to scored documents and writes the result back into their texts.

    A document without scores (its scoring failed) is kept as it is and counted as failed.

    Args:
        scored: sources and the prior's scores of their texts, or None.
        rule: the editing rule.
        vocabulary: the text of each token of the prior, and which may be proposed.
        seed: seed of the run.
        generation: how many times the texts were edited before.
        autoregressive: the prior, to let each position see the edited prefix (several passes).
        control: what is done in place of the rule's edits, of :mod:`toedit.controls`; None for the
            edits themselves.

    Yields:
        The edited documents, in order; ids and metadata are the sources' own.
    """
    group: list[tuple[Document, TokenScores | None]] = []
    settings = (rule, vocabulary, seed, generation, autoregressive, control)
    tokens = 0
    for document, scores in scored:
        group.append((document, scores))
        tokens += max(1, len(scores.tokens)) if scores is not None else 1
        if tokens >= GROUP_TOKENS:
            yield from _edit_group(group, *settings)
            group, tokens = [], 0
    yield from _edit_group(group, *settings)


def _edit_group(
    group: Sequence[tuple[Document, TokenScores | None]],
    rule: EditRule,
    vocabulary: Vocabulary,
    seed: int,
    generation: int,
    autoregressive: Prior | None,
    control: str | None,
) -> Iterator[EditedDocument]:
    known = [(document, scores) for document, scores in group if scores is not None]
    results: Iterator[tuple[Edit, EditStats, int]] = iter(())
    if known:
        scores = join_scores([scores for _, scores in known])
        ends = np.cumsum([len(scores.tokens) for _, scores in known])
        again = [0] * len(known)
        uniforms = KeyedUniforms([d.id for d, _ in known], ends, seed, generation)
        editable = _editable(known)
        if autoregressive is None:
            edit = edit_tokens(scores, rule, vocabulary, uniforms, editable)
        else:
            pairs = [
                edit_autoregressively(
                    scores.tokens,
                    autoregressive,
                    candidates_for(rule),
                    rule,
                    KeyedUniforms([document.id], (), seed, generation),
                    inside(scores.tokens, document.editable),
                )
                for document, scores in known
            ]
            edit = join_edits([edit for edit, _ in pairs])
            again = [flops for _, flops in pairs]
        if control is not None:
            edit = control_of(control)(edit, scores, rule, vocabulary, uniforms, editable)
        stats_of_each = EditStats.of(scores, edit, ends)
        results = zip(split_edit(edit, ends), stats_of_each, again, strict=True)
    for document, own in group:
        if own is None:
            stats = EditStats(documents=1, failed=[document.id])
            yield EditedDocument(document, document, None, None, stats, vocabulary)
        else:
            edit, stats, more = next(results)
            stats.flops = own.flops + more
            edited = document
            if stats.changed or stats.deleted:
                edited = _written_back(document, own.tokens, edit.ids, vocabulary)
            yield EditedDocument(edited, document, own, edit, stats, vocabulary)


def _editable(known: Sequence[tuple[Document, TokenScores]]) -> np.ndarray | None:
    """Which tokens of documents in a row may change; None where all may."""
    if all(document.editable is None for document, _ in known):
        return None
    masks = [inside(scores.tokens, document.editable) for document, scores in known]
    return np.concatenate(
        [
            np.ones(len(scores.tokens), bool) if mask is None else mask
            for mask, (_, scores) in zip(masks, known, strict=True)
        ]
    )


def _written_back(
    document: Document, tokens: Tokens, ids: np.ndarray, vocabulary: Vocabulary
) -> Document:
    """The document with the tokens that changed spliced into its text."""
    changed = (ids != tokens.ids).nonzero()[0]
    replacements = {
        i: "" if new == DELETED else vocabulary.pieces[new] or ""
        for i, new in zip(changed.tolist(), ids[changed].tolist(), strict=True)
    }
    text = splice(document.text, tokens, replacements)
    editable = shifted(document.editable, tokens, replacements)
    return Document(document.id, text, document.metadata, editable)


def _changes(
    text: str, scores: TokenScores, ids: np.ndarray, vocabulary: Vocabulary
) -> list[Change]:
    def piece(token: int) -> str:
        known = 0 <= token < len(vocabulary.pieces)
        return (vocabulary.pieces[token] if known else None) or ""

    found = []
    changed = np.flatnonzero(ids != scores.tokens.ids)
    rows = np.searchsorted(scores.rows, changed).tolist()
    for i, row in zip(changed.tolist(), rows, strict=True):
        kept = row < len(scores.rows) and scores.rows[row] == i
        others = scores.candidate_ids[row, :SHOWN].tolist() if kept else []
        values = np.exp(scores.candidate_logprobs[row, :SHOWN]).tolist() if kept else []
        old = text[scores.tokens.starts[i] : scores.tokens.ends[i]]
        found.append(
            Change(
                start=int(scores.tokens.starts[i]),
                old=old,
                new=piece(int(ids[i])),
                probability=math.exp(scores.logprobs[i]),
                candidates=tuple(piece(token) for token in others),
                probabilities=tuple(values),
            )
        )
    return found


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
    return list(edit_documents(scored, rule, prior.vocabulary, seed))
