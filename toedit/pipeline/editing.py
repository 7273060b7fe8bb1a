"""Steps that work on documents: scoring, editing, and measuring what an edit did."""

from collections import deque
from collections.abc import Iterator
from itertools import islice

from datatrove.data import Document as StepDocument
from datatrove.pipeline.base import PipelineStep

from toedit.controls import control_of
from toedit.corpora.documents import EDITABLE
from toedit.document import Document
from toedit.editor import EditedDocument, edit_documents, score_documents
from toedit.pipeline.base import EDITED, SCORES, use_threads
from toedit.priors import PriorConfig, load_prior, load_vocabulary
from toedit.priors.base import CandidateRange, TokenScores
from toedit.priors.loading import load_tokenizer
from toedit.rules import EditRule
from toedit.stats.scores import ScoreStats

GROUP = 64
"""Documents measured together."""


class Score(PipelineStep):
    """Scores documents by a prior, loaded once a process."""

    name, type = "score", "prior"

    def __init__(self, prior: PriorConfig, candidates: CandidateRange, threads: int = 0) -> None:
        super().__init__()
        self.prior, self.candidates, self.threads = prior, candidates, threads

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> Iterator[StepDocument]:
        use_threads(self.threads)
        for carrier, scores in score_documents(data, load_prior(self.prior), self.candidates):
            carrier.metadata[SCORES] = scores
            yield carrier


class Edit(PipelineStep):
    """Applies an editing rule to scored documents; ids and metadata stay as they are.

    Args:
        prior: that scored them.
        rule: the editing rule.
        seed: seed of the run.
        generation: how many times the texts were edited before.
        autoregressive: each position sees the edited prefix.
        control: what is done in place of the rule's edits; None for the edits themselves.

    Raises:
        UserError: there is no such control.
    """

    name, type = "edit", "editor"

    def __init__(
        self,
        prior: PriorConfig,
        rule: EditRule,
        seed: int = 0,
        generation: int = 0,
        autoregressive: bool = False,
        control: str | None = None,
    ) -> None:
        super().__init__()
        if control is not None:
            control_of(control)
        self.prior, self.rule, self.seed, self.generation = prior, rule, seed, generation
        self.autoregressive, self.control = autoregressive, control

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> Iterator[StepDocument]:
        vocabulary = load_vocabulary(self.prior)
        again = load_prior(self.prior) if self.autoregressive else None
        waiting: deque[StepDocument] = deque()

        def scored() -> Iterator[tuple[Document, TokenScores | None]]:
            for carrier in data:
                waiting.append(carrier)
                scores = carrier.metadata.pop(SCORES)
                editable = carrier.metadata.pop(EDITABLE, None)
                yield Document(carrier.id, carrier.text, {}, editable), scores

        for edited in edit_documents(
            scored(), self.rule, vocabulary, self.seed, self.generation, again, self.control
        ):
            carrier = waiting.popleft()
            carrier.text = edited.document.text
            carrier.metadata[EDITED] = edited
            if edited.document.editable is not None:
                carrier.metadata[EDITABLE] = edited.document.editable
            yield carrier


class Plain(PipelineStep):
    """Turns what documents carry into plain numbers, for writers that are not ours."""

    name, type = "plain", "editor"

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> Iterator[StepDocument]:
        for carrier in data:
            carrier.metadata.pop(SCORES, None)
            carrier.metadata.pop(EDITABLE, None)
            edited: EditedDocument | None = carrier.metadata.pop(EDITED, None)
            if edited is not None:
                for name in ("tokens", "eligible", "changed", "deleted"):
                    carrier.metadata[f"toedit_{name}"] = getattr(edited.stats, name)
            yield carrier


class Measure(PipelineStep):
    """Measures edited texts beyond the tokens that changed, into their statistics.

    Args:
        prior: scores the edited text again; a document that did not change keeps its scores.
        rescore: whether it does so.
        tokenizer: model whose tokenizer counts tokens before and after; None counts none.
    """

    name, type = "measure", "editor"

    def __init__(self, prior: PriorConfig, rescore: bool, tokenizer: str | None = None) -> None:
        super().__init__()
        self.prior, self.rescore, self.tokenizer = prior, rescore, tokenizer

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> Iterator[StepDocument]:
        stream = iter(data)
        while carriers := list(islice(stream, GROUP)):
            edited: list[EditedDocument] = [carrier.metadata[EDITED] for carrier in carriers]
            if self.rescore:
                self._rescore(edited)
            if self.tokenizer:
                self._count(edited, self.tokenizer)
            yield from carriers

    def _rescore(self, edited: list[EditedDocument]) -> None:
        changed = [e for e in edited if e.document.text != e.source.text]
        documents = [e.document for e in changed]
        again = score_documents(documents, load_prior(self.prior), CandidateRange())
        after = {id(e): scores for e, (_, scores) in zip(changed, again, strict=True)}
        for e in edited:
            scores = after.get(id(e), e.scores)
            if e.scores is None or scores is None:
                continue
            old = ScoreStats.of(e.source.id, e.scores)
            new = ScoreStats.of(e.source.id, scores)
            e.stats.flops += scores.flops if id(e) in after else 0
            if not old.scored or not new.scored:
                continue
            e.stats.rescored = 1
            e.stats.rescored_tokens = new.tokens
            e.stats.scored_before, e.stats.scored_after = old.scored, new.scored
            e.stats.log_likelihood_before = old.log_likelihood
            e.stats.log_likelihood_after = new.log_likelihood
            change = old.log_likelihood / old.scored - new.log_likelihood / new.scored
            e.stats.log_perplexity_change = round(change)

    def _count(self, edited: list[EditedDocument], model: str) -> None:
        tokenizer = load_tokenizer(model)

        def count(texts: list[str]) -> list[int]:
            ids = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
            return [len(tokens) for tokens in ids]

        before = count([e.source.text for e in edited])
        after = count([e.document.text for e in edited])
        for e, old, new in zip(edited, before, after, strict=True):
            e.stats.counted_before, e.stats.counted_after = old, new
