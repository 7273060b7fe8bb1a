"""Write shards of a text: decontaminated, and split into training and held-out documents."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import compress, islice
from pathlib import Path
from typing import Any

from evals.harness import task_texts
from evals.instructions import conversations, solutions
from evals.items import item_texts, sciriff_contexts
from evals.own_tasks import OWN, benchmarks, own_tasks
from evals.suites import SUITES
from experiments.config import CorpusConfig, EvalConfig
from experiments.config.corpora import CONVERSATIONS, EMBEDDED_SOURCES
from experiments.stage import Stage, StageConfig, StageContext
from toedit import embedded
from toedit.corpora import SHARDS, sources, split
from toedit.corpora.conversations import (
    MESSAGES,
    RESPONDER,
    NoResponse,
    as_conversation,
    responses,
    roles_by_name,
)
from toedit.corpora.documents import write_shards
from toedit.corpora.records import NO_COLUMN, Reading
from toedit.corpora.remote import is_remote
from toedit.document import Document
from toedit.errors import UserError

TRAIN, HELD_OUT = "train", "heldout"

log = logging.getLogger(__name__)


@dataclass
class Benchmarks:
    """Benchmarks whose items must not be in a text.

    Attributes:
        benchmarks: embedded benchmarks.
        data: revision of the embedded data.
        others: other benchmarks.
        items: folder of the items of the AdaptLLM benchmarks; None for the hub.
        tasks: folder of benchmarks of the user; None for none.
    """

    benchmarks: list[str] = field(default_factory=list)
    data: str | None = None
    others: list[str] = field(default_factory=list)
    items: str | None = field(default=None, metadata={"identity": "items"})
    tasks: str | None = field(default=None, metadata={"identity": "tasks"})


@dataclass
class CorpusStage(Benchmarks, StageConfig, kind="corpus"):
    """A corpus, and the benchmarks whose items are removed from it."""

    corpus: CorpusConfig = field(default_factory=CorpusConfig)

    def run(self, context: StageContext) -> dict[str, Any]:
        """Write ``train/`` and ``heldout/`` shards; return counts of written and dropped text."""
        config = self.corpus
        skipped: Counter[str] = Counter()
        documents = _read(_documents(config, skipped), config, skipped)
        counts: dict[str, Any] = {"documents_read": len(documents)}
        if skipped:
            counts["skipped"] = dict(sorted(skipped.items()))
            log.warning("warning: %s%s", context.stage.name, _told(skipped))
        documents, held_out = self.divide(documents, counts)
        order = split.shuffled([d.id for d in documents])
        limits = {TRAIN: config.train_characters, HELD_OUT: config.heldout_characters}
        for side in (TRAIN, HELD_OUT):
            chosen = [documents[i] for i in order if held_out[i] == (side == HELD_OUT)]
            counts[f"{side}_available"] = len(chosen)
            chosen = _first_characters(chosen, limits[side])
            counts[f"{side}_documents"] = len(chosen)
            counts[f"{side}_characters"] = sum(len(d.text) for d in chosen)
            counts[f"{side}_sha256"] = write_shards(context.folder / side, chosen)
        return counts

    def divide(
        self, documents: list[Document], counts: dict[str, Any]
    ) -> tuple[list[Document], list[bool]]:
        """Drop documents that overlap with benchmarks, and choose those to hold out.

        Args:
            documents: of the corpus.
            counts: receives numbers of items, dropped documents and connected groups.

        Returns:
            The documents that are left, and whether each is held out.

        Raises:
            UserError: two have one id, or no document is left for one of the sides.
        """
        config = self.corpus
        _require_unique_ids(documents)
        items = benchmark_items(self)
        item_ids = {identity for task in items.values() for identity, _ in task}
        known_ids = item_ids | {
            name for i in item_ids if not (name := i.partition(":")[2]).isdecimal()
        }
        ngrams = [split.ngrams(d.text) for d in documents]
        overlapping, counts["overlap"] = split.overlap(ngrams, items)
        counts["benchmark_items"] = len(item_ids)
        same_id = [d.id in known_ids for d in documents]
        counts["dropped_by_item_id"] = sum(same_id) if config.remove_overlap else 0
        counts["dropped_by_13gram"] = sum(overlapping) if config.remove_overlap else 0
        read = len(documents)
        if config.remove_overlap:
            clean = [not any(pair) for pair in zip(overlapping, same_id, strict=True)]
            documents, ngrams = list(compress(documents, clean)), list(compress(ngrams, clean))
        groups = split.connected_groups(ngrams)
        number = counts["connected_groups"] = len(set(groups))
        held_out = split.held_out_mask([d.id for d in documents], groups, config.heldout_share)
        for side, change in ((TRAIN, "lower"), (HELD_OUT, "raise")):
            if (side == HELD_OUT) not in held_out:
                dropped = read - len(documents)
                shared = (
                    f"{dropped} share text with benchmarks, the others " if dropped else "they "
                )
                what = f"are {number} groups" if number > 1 else f"are {number} group"
                advice = f"{change} corpus.heldout_share or give" if number > 1 else "give"
                raise UserError(
                    f"no {side} document is left of {read}: {shared}{what} by common runs of "
                    f"{split.ORDER} words, and a group is held out as a whole, with probability "
                    f"{config.heldout_share:g}; {advice} more text (docs/your_own_experiment.md)"
                )
        return documents, held_out


def _read(
    documents: Iterable[Document], config: CorpusConfig, skipped: Counter[str]
) -> list[Document]:
    """The documents up to ``corpus.read_characters``; a UserError if there is none."""
    found = _first_characters(documents, config.read_characters)
    if not found:
        raise UserError(f"corpus.source={config.source} holds no document{_told(skipped)}")
    return found


CHECKED = 1000
"""Most documents of a corpus whose split a dry run checks; of more, both sides get some."""


def require_sides(stages: Sequence[Stage]) -> None:
    """Read small local corpora, and refuse those without training or held-out text.

    Raises:
        UserError: one cannot be read, or has no document for a side.
    """
    for config in (stage.config for stage in stages if stage.kind == "corpus"):
        if not isinstance(config, CorpusStage) or config.corpus.source != "local":
            continue
        if config.others or any(map(is_remote, config.corpus.paths)):
            continue  # which would be downloaded
        skipped: Counter[str] = Counter()
        first = islice(_documents(config.corpus, skipped), CHECKED + 1)
        documents = _read(first, config.corpus, skipped)
        if len(documents) <= CHECKED:
            config.divide(documents, {})


def benchmarks_of(evaluation: EvalConfig, more: Sequence[str] = ()) -> Benchmarks:
    """The benchmarks of an evaluation, and ``more`` embedded ones."""
    tasks = benchmarks(evaluation.suite, evaluation.tasks)
    names = sorted({*more, *(task.name for task in tasks if task.embedded)})
    others = sorted(task.name for task in tasks if not task.embedded and task.source != OWN)
    revision = embedded.DATA.revision if names else None
    items = evaluation.data if others else None
    return Benchmarks(names, revision, others, items, evaluation.tasks)


def stage(corpus: CorpusConfig, evaluation: EvalConfig, name: str | None = None) -> Stage:
    """A corpus without the items of the benchmarks of an evaluation, named after its source if
    ``name`` is None."""
    benchmarks = benchmarks_of(evaluation, corpus.decontaminate)
    if corpus.source in EMBEDDED_SOURCES:
        benchmarks.data = embedded.DATA.revision
    return Stage(CorpusStage(**vars(benchmarks), corpus=corpus), name or corpus.source)


def benchmark_items(config: Benchmarks) -> dict[str, list[tuple[str, str]]]:
    """(id, text) of the items of each benchmark."""
    items = {task: item_texts(task) for task in config.benchmarks}
    known = {task.name: task for tasks in SUITES.values() for task in tasks}
    items |= {name: task_texts(known[name], config.items) for name in config.others}
    if config.tasks is not None:
        folder = Path(config.tasks)
        items |= {task.name: task_texts(task, None, folder) for task in own_tasks(config.tasks)}
    return items


def _documents(config: CorpusConfig, skipped: Counter[str] | None = None) -> Iterator[Document]:
    """Read the documents of a corpus; ``skipped`` counts the records left out, by reason."""
    skipped = Counter() if skipped is None else skipped
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
        config.id_column or NO_COLUMN,
        messages_column=config.messages_column,
        prompt_column=config.prompt_column,
        invalid_utf8=config.invalid_utf8,
        missing_text=config.missing_text,
        role_names=roles_by_name(asdict(config.role_names)),
    )
    if config.source == "local":
        documents = sources.local_documents(config.paths, reading, skipped, warn=True)
    else:
        assert config.hub is not None
        documents = sources.hub_documents(
            config.hub, config.subset, config.split, config.revision, reading, config.files, skipped
        )
    return (
        _conversations(documents, config, reading, skipped) if config.conversations else documents
    )


def _conversations(
    documents: Iterable[Document], config: CorpusConfig, reading: Reading, skipped: Counter[str]
) -> Iterator[Document]:
    """Conversations of records; those without a response that is not empty are left out.

    Raises:
        UserError: none has a response.
    """
    first, number = None, 0
    for document in documents:
        try:
            conversation = _conversation(document, config, reading)
        except NoResponse as error:
            skipped["no_response"] += 1
            first = first or error
        else:
            number += 1
            yield conversation
    if first is not None and not number:
        raise UserError(f"no record has a response{_told(skipped)}; {first}") from first


def _told(skipped: Counter[str]) -> str:
    """Numbers of records that were left out, for an error message; empty if there are none."""
    numbers = ", ".join(f"{number} {reason}" for reason, number in sorted(skipped.items()))
    return f" (skipped: {numbers})" if skipped else ""


def _conversation(document: Document, config: CorpusConfig, reading: Reading) -> Document:
    """The document of a record of prompt and response, or of messages, with its messages.

    Raises:
        NoResponse: it has no response.
    """
    where = f"record {document.id!r}"
    metadata = dict(document.metadata)
    if None in (metadata.get(name, "") for name in reading.text_columns):  # kept without a text
        raise NoResponse(f"{where} holds no response: its text is missing")
    if config.messages_column is not None:
        messages = metadata.pop(config.messages_column)
    else:
        messages = [
            {"role": "user", "content": metadata.pop(str(config.prompt_column))},
            {"role": RESPONDER, "content": responses(document)[0]},
        ]
        if config.system_column is not None:
            system = metadata.pop(config.system_column, None)
            if not isinstance(system, str):
                raise UserError(f"{where} has no text in {config.system_column!r}")
            messages[:0] = [{"role": "system", "content": system}] if system.strip() else []
    document = Document(document.id, document.text, metadata)
    conversation = as_conversation(document, messages, where, reading.role_names)
    if not config.first_exchange:
        return conversation
    firsts = {message["role"]: message for message in reversed(conversation.metadata[MESSAGES])}
    kept = [firsts[role] for role in ("user", RESPONDER) if role in firsts]
    return as_conversation(conversation, kept, where)


def _require_unique_ids(documents: list[Document]) -> None:
    seen: set[str] = set()
    for document in documents:
        if document.id in seen:
            raise UserError(
                f"two documents have the id {document.id!r}; ids key the randomness of editing: "
                "name another column, or file and row with corpus.id_column=null (of a second "
                "text mix.corpus.id_column)"
            )
        seen.add(document.id)


def _first_characters(documents: Iterable[Document], limit: int | None) -> list[Document]:
    """The fewest first documents that have at least ``limit`` characters."""
    if limit is None:
        return list(documents)
    selected, total = [], 0
    for document in documents:
        if total >= limit:
            break
        selected.append(document)
        total += len(document.text)
    return selected


def text_folder(stage: Stage, folder: Path) -> Path:
    """Folder of the shards of training text below the folder of a stage."""
    return folder / (TRAIN if stage.kind in ("corpus", "select", "synthesize") else SHARDS)


def text_inputs(texts: Sequence[Stage]) -> dict[str, Stage]:
    """Stages that write training text, as the inputs of a stage that reads it."""
    return {f"text{number or ''}": text for number, text in enumerate(texts)}


def inputs_of(**stages: Stage | None) -> dict[str, Stage]:
    """Named inputs of a stage, without those that are None."""
    return {name: stage for name, stage in stages.items() if stage is not None}


def training_text(context: StageContext, *names: str) -> Iterator[Document]:
    """Documents of training text of the named inputs, or of all inputs of :func:`text_inputs`."""
    names = names or tuple(sorted(name for name in context.inputs if name.startswith("text")))
    folders = [text_folder(context.stage.inputs[n], context.inputs[n]) for n in names]
    return sources.local_documents(folders)
