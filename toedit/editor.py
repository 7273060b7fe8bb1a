"""Score, edit and splice documents: strings in, edited strings out."""

import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from toedit.autoregressive import edit_autoregressively
from toedit.controls import CONTROLS, everywhere
from toedit.document import Document, inside, shifted, splice
from toedit.edit import DELETED, Edit, edit_tokens, split_edit
from toedit.errors import UserError, require_choice, short
from toedit.priors.base import CandidateRange, Prior, TokenScores, Vocabulary, join_scores
from toedit.progress import Heard, hearing
from toedit.rules import EditRule
from toedit.sampling import NUCLEUS_CANDIDATES, KeyedUniforms
from toedit.stats.edits import EditStats

log = logging.getLogger(__name__)

CHANGE_CANDIDATES = 8
"""Candidates recorded in a :class:`Change`."""

GROUP_TOKENS = 1 << 15
"""Tokens edited together: numpy calls on small arrays cost as much as on large ones."""

ScoredDocument = tuple[Document, TokenScores | None]
"""A document and the prior's scores of its text; None if it could not be scored."""


@dataclass(frozen=True)
class Change:
    """A token that was replaced or deleted.

    Attributes:
        start: first character of the token in the source text.
        old: text of the token.
        new: its replacement; empty if it was deleted.
        probability: P(token | prefix) under the prior.
        candidates: texts of the prior's alternatives, most probable first.
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
    """A document before and after editing; ``scores`` and ``edit`` are None if scoring failed."""

    document: Document
    source: Document
    scores: TokenScores | None
    edit: Edit | None
    stats: EditStats
    vocabulary: Vocabulary

    @property
    def changes(self) -> list[Change]:
        """The replaced and deleted tokens, in order."""
        if self.edit is None or self.scores is None:
            return []
        tokens, scores, pieces = self.scores.tokens, self.scores, self.vocabulary.pieces

        def text_of(token: int) -> str:
            return (pieces[token] if 0 <= token < len(pieces) else None) or ""

        changes = []
        changed = np.flatnonzero(self.edit.ids != tokens.ids)
        starts, stops = (np.searchsorted(scores.rows, changed, side) for side in ("left", "right"))
        for i, start, stop in zip(changed.tolist(), starts, stops, strict=True):
            # No row if the token has no candidates.
            candidates = scores.candidate_ids[start:stop, :CHANGE_CANDIDATES].ravel().tolist()
            logprobs = scores.candidate_logprobs[start:stop, :CHANGE_CANDIDATES].ravel()
            changes.append(
                Change(
                    start=int(tokens.starts[i]),
                    old=self.source.text[tokens.starts[i] : tokens.ends[i]],
                    new=text_of(int(self.edit.ids[i])),
                    probability=math.exp(scores.logprobs[i]),
                    candidates=tuple(map(text_of, candidates)),
                    probabilities=tuple(np.exp(logprobs).tolist()),
                )
            )
        return changes


def candidates_for(rule: EditRule, control: str | None = None) -> CandidateRange:
    """Return the alternatives that a rule, or a control of it, needs from the prior.

    Raises:
        UserError: there is no such control.
    """
    if control is not None:
        require_choice("control", control, CONTROLS)
        rule = everywhere(rule)
    if rule.sampler == "none":
        return CandidateRange()
    k = NUCLEUS_CANDIDATES if rule.sampler == "top_p" else rule.k
    return CandidateRange(k, rule.threshold, rule.ceiling if rule.threshold is None else None)


def edit_documents(
    scored: Iterable[ScoredDocument],
    rule: EditRule,
    vocabulary: Vocabulary,
    seed: int = 0,
    generation: int = 0,
    autoregressive: Prior | None = None,
    control: str | None = None,
) -> Iterator[EditedDocument]:
    """Apply a rule to scored documents and splice the edited tokens into their texts.

    A document that could not be scored stays as it is and counts as failed.

    Args:
        scored: documents and the prior's scores of their texts.
        rule: the editing rule.
        vocabulary: of the prior.
        seed: seed of the run.
        generation: how many times the texts were edited before.
        autoregressive: the prior, to condition each position on the edited prefix (several
            passes); None conditions it on the source.
        control: name of a control of :mod:`toedit.controls` that replaces the edits.

    Yields:
        The edited documents, in order, with the ids and metadata of their sources.
    """
    # Autoregressive editing takes one document at a time.
    for group in _groups(scored, GROUP_TOKENS if autoregressive is None else 1):
        known = [(document, scores) for document, scores in group if scores is not None]
        edits: Iterator[tuple[Edit, EditStats]] = iter(())
        more_flops = 0
        if known:
            joined = join_scores([scores for _, scores in known])
            ends = np.cumsum([len(scores.tokens) for _, scores in known])
            uniforms = KeyedUniforms([document.id for document, _ in known], ends, seed, generation)
            editable = np.concatenate([inside(s.tokens, d.editable) for d, s in known])
            if autoregressive is None:
                edit = edit_tokens(joined, rule, vocabulary, uniforms, editable)
            else:
                edit, more_flops = edit_autoregressively(
                    joined.tokens, autoregressive, candidates_for(rule), rule, uniforms, editable
                )
            if control is not None:
                require_choice("control", control, CONTROLS)
                edit = CONTROLS[control](edit, joined, rule, vocabulary, uniforms, editable)
            edits = zip(split_edit(edit, ends), EditStats.of(joined, edit, ends), strict=True)
        for document, scores in group:
            if scores is None:
                stats = EditStats(documents=1, failed=[document.id])
                yield EditedDocument(document, document, None, None, stats, vocabulary)
                continue
            edit, stats = next(edits)
            stats.flops = scores.flops + more_flops
            edited = document
            if stats.changed or stats.deleted:
                changed = (edit.ids != scores.tokens.ids).nonzero()[0]
                replacements = {
                    i: "" if new == DELETED else vocabulary.pieces[new] or ""
                    for i, new in zip(changed.tolist(), edit.ids[changed].tolist(), strict=True)
                }
                text = splice(document.text, scores.tokens, replacements)
                spans = shifted(document.editable, scores.tokens, replacements)
                edited = Document(document.id, text, document.metadata, spans)
            yield EditedDocument(edited, document, scores, edit, stats, vocabulary)


def _groups(scored: Iterable[ScoredDocument], size: int) -> Iterator[list[ScoredDocument]]:
    """Group documents, each group until it has ``size`` tokens."""
    group: list[ScoredDocument] = []
    tokens = 0
    for document, scores in scored:
        group.append((document, scores))
        tokens += max(1, len(scores.tokens)) if scores is not None else 1
        if tokens >= size:
            yield group
            group, tokens = [], 0
    yield group


def score_documents(
    documents: Iterable[Document],
    prior: Prior,
    candidates: CandidateRange,
    group: int = 64,
    heard: Heard | None = None,
) -> Iterator[ScoredDocument]:
    """Score a stream of documents in groups, so that batches hold similar lengths.

    If a group fails, its documents are scored one by one; None marks those that fail alone.
    ``heard`` is told of documents and tokens while they are scored.
    """
    stream = iter(documents)
    while chunk := list(islice(stream, group)):
        texts = [d.text for d in chunk]
        yield from zip(chunk, _score_heard(texts, prior, candidates, heard), strict=True)


def _score_heard(
    texts: Sequence[str], prior: Prior, candidates: CandidateRange, heard: Heard | None
) -> list[TokenScores | None]:
    """Score texts; at the end the counts are exact, also for a prior that says nothing."""
    if heard is None:
        return _score_texts(texts, prior, candidates)
    documents, tokens = 0.0, 0

    def part(more_documents: float, more_tokens: int) -> None:
        nonlocal documents, tokens
        documents, tokens = documents + more_documents, tokens + more_tokens
        heard(more_documents, more_tokens)

    with hearing(part):
        found = _score_texts(texts, prior, candidates)
    heard(len(texts) - documents, sum(len(s.tokens) for s in found if s is not None) - tokens)
    return found


def _score_texts(
    texts: Sequence[str], prior: Prior, candidates: CandidateRange
) -> list[TokenScores | None]:
    try:
        return list(prior.score(texts, candidates))
    except (RuntimeError, ValueError, TypeError, IndexError, OverflowError) as error:
        if "CUDA error" in str(error):
            raise UserError(
                f"the accelerator failed ({short(error)}); run again to continue"
            ) from error
        if len(texts) == 1:
            reason = short(error, 200)
            log.warning("a document of %d characters cannot be scored: %s", len(texts[0]), reason)
            return [None]
        return [scores for text in texts for scores in _score_texts([text], prior, candidates)]


def score_texts(
    texts: Sequence[str], prior: Prior, *rules: EditRule, ids: Sequence[str] | None = None
) -> list[ScoredDocument]:
    """Score strings in one forward pass of the prior, to be edited by any number of rules.

    Args:
        texts: the strings.
        prior: the prior.
        rules: rules whose candidates are kept beside each token's log-probability (nats).
        ids: ids of the documents, which key their random numbers; None numbers them from 0.

    Returns:
        Every string as a document, and its :class:`~toedit.priors.base.TokenScores`; None in their
        place where scoring failed.
    """
    names = map(str, range(len(texts))) if ids is None else ids
    candidates = CandidateRange()
    for rule in rules:
        candidates = candidates.including(candidates_for(rule))
    documents = [Document(name, text) for name, text in zip(names, texts, strict=True)]
    return list(score_documents(documents, prior, candidates))


def edit_scored(
    scored: Iterable[ScoredDocument], prior: Prior, rule: EditRule, seed: int = 0
) -> list[EditedDocument]:
    """Apply a rule to documents that were scored before, without another forward pass.

    The same seed gives the same edits.

    Raises:
        UserError: the scores lack candidates that the rule needs.
    """
    scored, needed = list(scored), candidates_for(rule).k
    widths = [scores.candidate_ids.shape[1] for _, scores in scored if scores is not None]
    if widths and max(widths) < min(needed, len(prior.vocabulary.proposable)):
        raise UserError(
            f"the scores hold {max(widths)} candidates a token and the rule needs {needed}; "
            "score for this rule too"
        )
    return list(edit_documents(scored, rule, prior.vocabulary, seed))


def edit_texts(
    texts: Sequence[str], prior: Prior, rule: EditRule, seed: int = 0
) -> list[EditedDocument]:
    """Score and edit strings; each text's index is its document id, which keys its random numbers.

    The same seed gives the same edits.
    """
    return list(edit_documents(score_texts(texts, prior, rule), rule, prior.vocabulary, seed))
