"""Text from files anywhere, one document after another: what is trained on, and what is held out.

Neither is deduplicated: both are used as they are published. What of a text may be trained on
beside the benchmarks that models are evaluated on is up to a later stage.
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
from toedit.corpora.remote import addresses, short_names
from toedit.corpora.sources import file_documents
from toedit.corpora.units import WORK_SCRATCH, Unit
from toedit.document import Document
from toedit.errors import UserError

FILES = "files.json"
"""The addresses that were read, fixed before any of them is."""

COPIES = f"{WORK}/copies"


@dataclass
class SourceStage(StageConfig, kind="corpus", scratch=(*WORK_SCRATCH, COPIES)):
    """A text that is trained on."""

    source: TextSource

    def run(self, context: StageContext) -> dict[str, Any]:
        """Writes ``train/``, a group of shards a file; returns how many files and documents."""
        from toedit import pipeline

        source: TextSource = self.source
        files = _files(context.folder, source)
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
        shards = sorted((context.folder / TRAIN).glob("*.parquet"))
        documents = sum(pq.ParquetFile(path).metadata.num_rows for path in shards)
        if not documents:
            raise UserError(f"source {source.name!r} holds no document in {len(files)} files")
        return {"files": len(files), "documents": documents}


@dataclass
class HeldOutStage(StageConfig, kind="corpus", scratch=(COPIES,)):
    """Texts that are held out, and how many characters of a domain are kept."""

    sources: list[TextSource]
    characters: int | None

    def run(self, context: StageContext) -> dict[str, Any]:
        """Writes ``heldout/``; returns documents and characters of each domain."""
        characters: Counter[str] = Counter()
        documents: Counter[str] = Counter()

        def kept() -> Iterator[Document]:
            for source in self.sources:
                for document in _documents(context.folder, source):
                    domain = f"{source.name}: {document.metadata['domain']}"
                    if self.characters is None or characters[domain] < self.characters:
                        characters[domain] += len(document.text)
                        documents[domain] += 1
                        yield document

        digest = write_shards(context.folder / HELD_OUT, kept())
        if not documents:
            raise UserError("the held-out sources hold no document")
        found = {
            domain: {"documents": documents[domain], "characters": characters[domain]}
            for domain in sorted(documents)
        }
        return {HELD_OUT: found, f"{HELD_OUT}_sha256": digest}


def stage(source: TextSource, engine: EngineConfig) -> Stage:
    """A text that is trained on."""
    return Stage(SourceStage(source), source.name, runtime=engine)


def held_out(sources: list[TextSource], characters: int | None) -> Stage:
    """Texts that are held out, at most so many characters of each of their domains."""
    return Stage(HeldOutStage(sources, characters), "heldout")


def _documents(folder: Path, source: TextSource) -> Iterator[Document]:
    """Documents of a held-out source with their domain; no mixture holds them."""
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
    found: Any = document.metadata
    for part in source.domain_column.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    if not isinstance(found, str):
        raise UserError(
            f"document {document.id!r} of source {source.name!r} names no domain in column "
            f"{source.domain_column!r}; its columns: {', '.join(document.metadata)}"
        )
    return found


def _reading(source: TextSource) -> Reading:
    return Reading(source.text_column, source.id_column, invalid_utf8=source.invalid_utf8)


def _files(folder: Path, source: TextSource) -> list[str]:
    """The files of a source; what an interrupted attempt found stays what it is."""
    path = folder / FILES
    if not path.exists():
        write_json(path, addresses(source.files))
    return read_json(path)
