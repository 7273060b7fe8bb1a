"""Text into shards: deduplicated, decontaminated, split into training and held-out documents."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evals.instructions import conversations, solutions
from evals.items import item_texts, sciriff_contexts
from evals.suites import SUITES, suite
from experiments.config import CorpusConfig, EvalConfig
from experiments.config.corpora import CONVERSATIONS, EMBEDDED_SOURCES
from experiments.stage import Stage, StageConfig, StageContext
from toedit import embedded
from toedit.corpora import sources, split
from toedit.corpora.conversations import MESSAGES, RESPONDER, as_conversation, responses
from toedit.corpora.documents import Reading, write_shards
from toedit.document import Document
from toedit.errors import UserError

TRAIN, HELD_OUT = "train", "heldout"
SPLIT = ("corpus", "select", "synthesize")
"""Kinds of stages whose training text stands in :data:`TRAIN`, the others' in shards."""


@dataclass
class Evaluated:
    """Benchmarks: embedded ones, the revision of their data, others, and the folder of the items of
    those of AdaptLLM."""

    benchmarks: list[str] = field(default_factory=list)
    data: str | None = None
    others: list[str] = field(default_factory=list)
    items: str | None = field(default=None, metadata={"identity": "items"})


@dataclass
class CorpusStage(Evaluated, StageConfig, kind="corpus"):
    """A corpus, and the benchmarks whose items must not stand in it."""

    corpus: CorpusConfig = field(default_factory=CorpusConfig)

    def run(self, context: StageContext) -> dict[str, Any]:
        """Writes ``train/`` and ``heldout/`` shards; returns counts of kept and dropped text."""
        config = self.corpus
        documents = _first_characters(_documents(config), config.read_characters)
        if not documents:
            raise UserError(f"corpus.source={config.source} holds no document")
        _require_unique_ids(documents)
        counts: dict[str, Any] = {"documents_read": len(documents)}
        items = item_texts_of(self)
        item_ids = {identity for task in items.values() for identity, _ in task}
        own_ids = item_ids | {
            name for i in item_ids if not (name := i.partition(":")[2]).isdecimal()
        }
        dirty, counts["overlap"] = split.overlap((d.text for d in documents), items)
        counts["benchmark_items"] = len(item_ids)
        same_id = [d.id in own_ids for d in documents]
        counts["dropped_by_item_id"] = sum(same_id) if config.remove_overlap else 0
        counts["dropped_by_13gram"] = sum(dirty) if config.remove_overlap else 0
        if config.remove_overlap:
            kept = zip(documents, dirty, same_id, strict=True)
            documents = [document for document, bad, same in kept if not bad and not same]
        groups = split.connected_groups([d.text for d in documents])
        counts["connected_groups"] = len(set(groups))
        held_out = split.held_out_mask([d.id for d in documents], groups, config.heldout_share)
        order = split.shuffled([d.id for d in documents])
        limits = {TRAIN: config.train_characters, HELD_OUT: config.heldout_characters}
        for side in (TRAIN, HELD_OUT):
            chosen = [documents[i] for i in order if held_out[i] == (side == HELD_OUT)]
            counts[f"{side}_available"] = len(chosen)
            chosen = _first_characters(chosen, limits[side])
            counts[f"{side}_documents"] = len(chosen)
            counts[f"{side}_characters"] = sum(len(d.text) for d in chosen)
            counts[f"{side}_sha256"] = write_shards(context.folder / side, chosen)
        for side, remedy in ((TRAIN, "lower"), (HELD_OUT, "raise")):
            if not counts[f"{side}_documents"]:
                raise UserError(
                    f"no {side} document is left of {len(documents)} in "
                    f"{counts['connected_groups']} connected groups; {remedy} "
                    "corpus.heldout_share or give more text"
                )
        return counts


def evaluated(evaluation: EvalConfig, more: Sequence[str] = ()) -> Evaluated:
    """The benchmarks of an evaluation, and further embedded ones."""
    tasks = suite(evaluation.suite) if evaluation.suite else ()
    own = {*more, *(task.name for task in tasks if task.embedded)}
    others = sorted(task.name for task in tasks if not task.embedded)
    revision = embedded.DATA.revision if own else None
    return Evaluated(sorted(own), revision, others, evaluation.data if others else None)


def stage(corpus: CorpusConfig, evaluation: EvalConfig, name: str | None = None) -> Stage:
    """The corpus of a configuration, without the items of what it is evaluated on.

    Args:
        corpus: the text.
        evaluation: what models are evaluated on.
        name: of the stage; None for that of the source.
    """
    found = evaluated(evaluation, corpus.decontaminate)
    if corpus.source in EMBEDDED_SOURCES:
        found.data = embedded.DATA.revision
    config = CorpusStage(found.benchmarks, found.data, found.others, found.items, corpus)
    return Stage(config, name or corpus.source)


def item_texts_of(config: Evaluated) -> dict[str, list[tuple[str, str]]]:
    """(id, text) of the items of each benchmark."""
    items = {task: item_texts(task) for task in config.benchmarks}
    if config.others:
        from evals.harness import task_texts

        known = {task.name: task for tasks in SUITES.values() for task in tasks}
        items |= {name: task_texts(known[name], config.items) for name in config.others}
    return items


def _documents(config: CorpusConfig) -> Iterator[Document]:
    if config.source == "bioasq":
        return sources.drop_repeated_lines(
            Document(d["id"], d["context"], {"source": "bioasq"})
            for d in sciriff_contexts("bioasq")
        )
    if config.source == "mathematics":
        return solutions(held_back=False)
    if config.source in CONVERSATIONS:
        return (
            as_conversation(document, document.metadata[MESSAGES], f"record {document.id!r}")
            for document in conversations(config.source)
        )
    reading = Reading(
        config.text_column,
        config.id_column,
        messages_column=config.messages_column,
        prompt_column=config.prompt_column,
    )
    if config.source == "local":
        documents = sources.local_documents(config.paths, reading)
    else:
        assert config.hub is not None
        documents = sources.hub_documents(
            config.hub, config.subset, config.split, config.revision, reading, config.files
        )
    return (_conversation(d, config) for d in documents) if config.conversations else documents


def _conversation(document: Document, config: CorpusConfig) -> Document:
    """A record of prompt and response, or of messages, as one that keeps its messages."""
    metadata = dict(document.metadata)
    if config.messages_column is not None:
        messages = metadata.pop(config.messages_column)
    else:
        prompt = metadata.pop(str(config.prompt_column))
        answer = responses(document)[0]
        messages = [
            {"role": "user", "content": prompt},
            {"role": RESPONDER, "content": answer},
        ]
        if config.system_column is not None:
            said = metadata.pop(config.system_column, None)
            if not isinstance(said, str):
                raise UserError(f"record {document.id!r} has no text in {config.system_column!r}")
            messages[:0] = [{"role": "system", "content": said}] if said.strip() else []
    document = Document(document.id, document.text, metadata)
    return as_conversation(document, messages, f"record {document.id!r}")


def _require_unique_ids(documents: list[Document]) -> None:
    seen: set[str] = set()
    for document in documents:
        if document.id in seen:
            raise UserError(
                f"two documents have the id {document.id!r}; ids key the randomness of editing"
            )
        seen.add(document.id)


def _first_characters(documents: Iterable[Document], limit: int | None) -> list[Document]:
    """The shortest start of the documents that holds at least ``limit`` characters."""
    if limit is None:
        return list(documents)
    kept, total = [], 0
    for document in documents:
        if total >= limit:
            break
        kept.append(document)
        total += len(document.text)
    return kept


def text_folder(stage: Stage, folder: Path) -> Path:
    """Where a stage that yields training text keeps its shards."""
    from toedit.pipeline import SHARDS

    return folder / (TRAIN if stage.kind in SPLIT else SHARDS)


def text_inputs(texts: Sequence[Stage]) -> dict[str, Stage]:
    """Stages that yield training text, as inputs of one that reads it."""
    return {f"text{number or ''}": text for number, text in enumerate(texts)}


def training_text(context: StageContext) -> Iterator[Document]:
    """Training text of all inputs of :func:`text_inputs`, in their order."""
    names = [name for name in context.inputs if name.startswith("text")]
    folders = [text_folder(context.stage.inputs[n], context.inputs[n]) for n in sorted(names)]
    return sources.local_documents(folders)
