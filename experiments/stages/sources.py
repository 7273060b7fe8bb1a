"""Read training text and held-out text from local or remote files.

Neither is deduplicated: both are used as they are published. A later stage leaves out the documents
that overlap with benchmarks.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from experiments.config import EngineConfig
from experiments.config.corpora import TextSource
from experiments.stage import Stage, StageConfig, StageContext
from experiments.stages.corpus import HELD_OUT, TRAIN
from toedit.corpora import WORK
from toedit.corpora.documents import Reading, write_shards
from toedit.corpora.files import read_json, write_json
from toedit.corpora.records import NO_COLUMN
from toedit.corpora.remote import addresses, short_names
from toedit.corpora.sources import file_documents
from toedit.corpora.units import WORK_SCRATCH, Unit
from toedit.document import Document
from toedit.errors import UserError, damaged
from toedit.redaction import REMOVED, without_credentials

FILES = "files.json"
"""Addresses of the files, written before any of them is read."""

COPIES = f"{WORK}/copies"


@dataclass
class SourceStage(StageConfig, kind="corpus", scratch=(*WORK_SCRATCH, COPIES)):
    """A source of training text."""

    source: TextSource

    def run(self, context: StageContext) -> dict[str, Any]:
        """Write ``train/``, a group of shards per file; return numbers of files and documents."""
        from toedit import pipeline

        source = self.source
        files = listed(source, context.folder / FILES)
        steps = [
            pipeline.ReadFile(
                files, str(context.folder / COPIES), _reading(source),
                {"domain": source.name, "kind": source.kind}, f"{source.name}/",
            ),
            pipeline.WriteParts(str(context.folder / TRAIN)),
        ]  # fmt: skip
        units = [Unit(address, 0, 0) for address in files]
        pipeline.run_steps(
            steps, units, context.folder, f"read {source.name}", context.stage.runtime
        )
        shards = (context.folder / TRAIN).glob("*.parquet")
        documents = sum(pq.ParquetFile(path).metadata.num_rows for path in shards)
        if not documents:
            raise UserError(f"source {source.name!r} holds no document in {len(files)} files")
        return {"files": len(files), "documents": documents}


@dataclass
class HeldOutStage(StageConfig, kind="corpus", scratch=(COPIES,)):
    """Sources of held-out text, and the most characters of each domain; None for no limit."""

    sources: list[TextSource]
    characters: int | None

    def run(self, context: StageContext) -> dict[str, Any]:
        """Write ``heldout/``; return documents and characters of each domain."""
        characters: Counter[str] = Counter()
        documents: Counter[str] = Counter()

        def selected() -> Iterator[Document]:
            for source in self.sources:
                for document in _documents(context.folder, source):
                    domain = f"{source.name}: {document.metadata['domain']}"
                    if self.characters is None or characters[domain] < self.characters:
                        characters[domain] += len(document.text)
                        documents[domain] += 1
                        yield document

        digest = write_shards(context.folder / HELD_OUT, selected())
        if not documents:
            raise UserError("the held-out sources hold no document")
        sizes = {
            domain: {"documents": documents[domain], "characters": characters[domain]}
            for domain in sorted(documents)
        }
        return {HELD_OUT: sizes, f"{HELD_OUT}_sha256": digest}


def stage(source: TextSource, engine: EngineConfig) -> Stage:
    """The training text of a source."""
    return Stage(SourceStage(source), source.name, runtime=engine)


def held_out(sources: list[TextSource], characters: int | None) -> Stage:
    """The held-out text of sources, at most ``characters`` of each domain; None for no limit."""
    return Stage(HeldOutStage(sources, characters), "heldout")


def listed(source: TextSource, path: Path) -> list[str]:
    """Addresses of the files, as an interrupted attempt may have fixed them.

    The list on disk holds no credentials: they are those of the configuration.
    """
    if not path.exists():
        write_json(path, [without_credentials(file) for file in addresses(source.files)])
    files: list[str] = read_json(path, list)
    if not all(isinstance(file, str) for file in files):
        raise damaged(path, "names of files are not texts")
    if not any(REMOVED in file for file in files):
        return files
    signed = {without_credentials(file): file for file in addresses(source.files)}
    return [signed.get(file, file) for file in files]


def _documents(folder: Path, source: TextSource) -> Iterator[Document]:
    """Documents of a held-out source with their domain; they are in no mixture."""
    files = addresses(source.files)
    copies, reading = folder / COPIES, _reading(source)
    for address, name in zip(files, short_names(files), strict=True):
        for document in file_documents(address, name, copies, reading, f"{source.name}/"):
            metadata = {"domain": _domain(document, source), "kind": source.kind, "seen": False,
                        "set": source.group or source.name}  # fmt: skip
            yield Document(document.id, document.text, metadata)


def _domain(document: Document, source: TextSource) -> str:
    if source.domain_column is None:
        return source.name
    value: Any = document.metadata
    for part in source.domain_column.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if not isinstance(value, str):
        raise UserError(
            f"document {document.id!r} of source {source.name!r} names no domain in column "
            f"{source.domain_column!r}; its columns: {', '.join(document.metadata)}"
        )
    return value


def _reading(source: TextSource) -> Reading:
    return Reading(
        source.text_column,
        source.id_column or NO_COLUMN,
        invalid_utf8=source.invalid_utf8,
        missing_text=source.missing_text,
    )
