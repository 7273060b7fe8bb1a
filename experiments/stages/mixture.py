"""Training tokens of an arm: human and synthetic documents at an exact ratio, in blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.fingerprint import Stage, StageContext
from experiments.stages.corpus import text_folder
from experiments.stages.domains import SYNTHETIC
from experiments.stages.tokenizer import END, FOLDER
from toedit.errors import UserError

REV = 1
MIXTURE = "mixture.npy"
MANIFEST = "manifest.parquet"


@dataclass
class MixtureStage:
    """Share of synthetic tokens, human domains (equal shares of the rest), and the size."""

    ratio: float
    domains: list[str]
    tokens: int
    block_size: int
    seed: int
    epochs: int = 1


def stage(
    text: Stage,
    tokenizer: Stage,
    name: str,
    ratio: float,
    domains: list[str],
    tokens: int,
    block_size: int,
    seed: int,
    epochs: int = 1,
    more: Sequence[Stage] = (),
) -> Stage:
    """The tokens of a run: which documents of a source are taken depends on the seed.

    Args:
        text: the text.
        tokenizer: cuts it.
        name: of the arm.
        ratio: share of synthetic tokens.
        domains: human domains, with equal shares of the rest.
        tokens: of the mixture.
        block_size: tokens in a block.
        seed: of the run.
        epochs: how often a source may be repeated.
        more: further text, of whose kinds the shares hold together.
    """
    config = MixtureStage(ratio, sorted(domains), tokens, block_size, seed, epochs)
    inputs = {"text": text, "tokenizer": tokenizer}
    inputs |= {f"text{number}": stage for number, stage in enumerate(more, 1)}
    return Stage("mixture", name, REV, run, config, inputs)


def arm_name(ratio: float) -> str:
    """Name of an arm by its percentage of synthetic text."""
    return f"synthetic{100 * ratio:g}"


def run(context: StageContext) -> dict[str, Any]:
    """Writes the blocks and a manifest of the documents; returns counts a source."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from toedit.corpora import split
    from toedit.corpora.files import atomic_path
    from toedit.corpora.mixing import digest, mix
    from toedit.corpora.sources import local_documents
    from toedit.models import load_tokenizer

    config: MixtureStage = context.stage.config
    tokenizer = load_tokenizer(str(context.inputs["tokenizer"] / FOLDER))
    end = tokenizer.get_vocab()[END]
    documents: dict[str, list[tuple[str, str]]] = {}
    folders = [
        text_folder(context.stage.inputs[name], context.inputs[name])
        for name in sorted(context.inputs)
        if name != "tokenizer"
    ]
    for document in local_documents(folders):
        synthetic = document.metadata["kind"] == SYNTHETIC
        name = SYNTHETIC if synthetic else document.metadata["domain"]
        documents.setdefault(name, []).append((document.id, document.text))
    shares = {SYNTHETIC: config.ratio}
    shares |= {domain: (1 - config.ratio) / len(config.domains) for domain in config.domains}
    for name, share in shares.items():
        if share and name not in documents:
            raise UserError(f"the corpus holds no training text of {name!r}")

    def tokenized(name: str) -> Iterator[tuple[str, list[int]]]:
        own = documents.get(name, [])
        order = split.shuffled([f"{config.seed}\x1f{identity}" for identity, _ in own])
        for identity, text in (own[i] for i in order):
            ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
            yield identity, [*ids, end]

    tokens = config.tokens // config.block_size * config.block_size
    taken = mix({name: tokenized(name) for name in shares}, shares, tokens, config.epochs, end)
    stream = np.concatenate([t.tokens for t in taken])
    with atomic_path(context.folder / MIXTURE) as temporary, temporary.open("wb") as handle:
        np.save(handle, stream.reshape(-1, config.block_size))
    rows = [{"source": t.source, "id": t.id, "epoch": t.epoch, "tokens": len(t.tokens),
             "cut": t.cut} for t in taken]  # fmt: skip
    with atomic_path(context.folder / MANIFEST) as temporary:
        pq.write_table(pa.Table.from_pylist(rows), temporary)
    by_source = {name: [t for t in taken if t.source == name] for name in sorted(shares)}
    return {
        "tokens": len(stream),
        "sha256": digest(taken),
        "sources": {
            name: {"documents": len(part), "tokens": sum(len(t.tokens) for t in part),
                   "sha256": digest(part)}
            for name, part in by_source.items()
        },
    }  # fmt: skip
