"""Steps that score documents, edit them, and measure their edits."""

from collections import deque
from collections.abc import Iterator
from itertools import islice

from datatrove.pipeline.base import PipelineStep

from toedit.controls import CONTROLS
from toedit.document import Document
from toedit.editor import EditedDocument, ScoredDocument, edit_documents, score_documents
from toedit.errors import require_choice
from toedit.pipeline.base import EDITED, SCORES, use_threads
from toedit.pipeline.progress import passed
from toedit.priors import PriorConfig, load_prior, load_vocabulary
from toedit.priors.base import CandidateRange
from toedit.priors.loading import load_tokenizer
from toedit.rules import EditRule
from toedit.stats.scores import ScoreStats

GROUP = 64
"""Documents measured together."""


class ScoreStep(PipelineStep):
    """Score documents by a prior, which is loaded once a process."""

    name, type = "score", "prior"
    slow = True
    """Whether the step tells :func:`~toedit.pipeline.progress.passed` what it is done with."""

    def __init__(self, prior: PriorConfig, candidates: CandidateRange, threads: int = 0) -> None:
        super().__init__()
        self.prior, self.candidates, self.threads = prior, candidates, threads

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        use_threads(self.threads)
        prior = load_prior(self.prior)
        for document, scores in score_documents(data, prior, self.candidates, heard=passed):
            document.metadata[SCORES] = scores
            yield document


class EditStep(PipelineStep):
    """Apply an editing rule to scored documents; ids and metadata stay as they are.

    Args:
        prior: the prior that scored them.
        rule: the editing rule.
        seed: seed of the run.
        generation: how many times the texts were edited before.
        autoregressive: condition each position on the edited prefix.
        control: name of a control that replaces the edits; None for the edits.

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
            require_choice("control", control, CONTROLS)
        self.prior, self.rule, self.seed, self.generation = prior, rule, seed, generation
        self.autoregressive, self.control = autoregressive, control
        self.slow = autoregressive

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        vocabulary = load_vocabulary(self.prior)
        prior = load_prior(self.prior) if self.autoregressive else None
        waiting: deque[Document] = deque()

        def scored() -> Iterator[ScoredDocument]:
            for document in data:
                waiting.append(document)
                scores = document.metadata.pop(SCORES)
                editable = getattr(document, "editable", None)  # datatrove's documents have none
                yield Document(document.id, document.text, {}, editable), scores

        for edited in edit_documents(
            scored(), self.rule, vocabulary, self.seed, self.generation, prior, self.control
        ):
            document = waiting.popleft()
            document.text = edited.document.text
            if edited.document.editable is not None:
                document.editable = edited.document.editable
            document.metadata[EDITED] = edited
            if prior is not None:
                passed(1, edited.stats.tokens)
            yield document


class Plain(PipelineStep):
    """Replace scores and edits in the metadata by plain counts, for writers of other projects."""

    name, type = "plain", "editor"

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        for document in data:
            document.metadata.pop(SCORES, None)
            edited: EditedDocument | None = document.metadata.pop(EDITED, None)
            if edited is not None:
                for name in ("tokens", "eligible", "changed", "deleted"):
                    document.metadata[f"toedit_{name}"] = getattr(edited.stats, name)
            yield document


class Measure(PipelineStep):
    """Add perplexity and token counts after editing to the statistics of edited documents.

    Args:
        prior: the prior that scored them.
        rescore: score the edited texts; a document that did not change keeps its scores.
        tokenizer: model whose tokenizer counts tokens before and after; None counts none.
    """

    name, type = "measure", "editor"

    def __init__(self, prior: PriorConfig, rescore: bool, tokenizer: str | None = None) -> None:
        super().__init__()
        self.prior, self.rescore, self.tokenizer = prior, rescore, tokenizer
        self.slow = rescore

    def run(self, data=None, rank: int = 0, world_size: int = 1) -> Iterator[Document]:
        stream = iter(data)
        while documents := list(islice(stream, GROUP)):
            edited: list[EditedDocument] = [d.metadata[EDITED] for d in documents]
            if self.rescore:
                self._rescore(edited)
            if self.tokenizer:
                self._count(edited, self.tokenizer)
            yield from documents

    def _rescore(self, edited: list[EditedDocument]) -> None:
        changed = [e for e in edited if e.document.text != e.source.text]
        documents = [e.document for e in changed]
        prior = load_prior(self.prior)
        passed(len(edited) - len(changed), sum(e.stats.tokens for e in edited)
               - sum(e.stats.tokens for e in changed))  # fmt: skip
        rescored = score_documents(documents, prior, CandidateRange(), heard=passed)
        scores_after = {id(e): scores for e, (_, scores) in zip(changed, rescored, strict=True)}
        for e in edited:
            scores = scores_after.get(id(e), e.scores)
            if e.scores is None or scores is None:
                continue
            old = ScoreStats.of(e.source.id, e.scores)
            new = ScoreStats.of(e.source.id, scores)
            e.stats.flops += scores.flops if id(e) in scores_after else 0
            e.stats.add_rescored(old, new)

    def _count(self, edited: list[EditedDocument], model: str) -> None:
        tokenizer = load_tokenizer(model)

        def count(texts: list[str]) -> list[int]:
            ids = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
            return [len(tokens) for tokens in ids]

        before = count([e.source.text for e in edited])
        after = count([e.document.text for e in edited])
        for e, old, new in zip(edited, before, after, strict=True):
            e.stats.counted_before, e.stats.counted_after = old, new
