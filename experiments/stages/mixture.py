"""Mix human and synthetic documents at an exact ratio of tokens, and pack them into blocks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from experiments.stage import Stage, StageConfig, StageContext
from experiments.stages.domains import SYNTHETIC
from experiments.stages.tokenizer import FOLDER
from toedit.corpora import SHARDS, mixing, split
from toedit.corpora.files import atomic_path, save_table
from toedit.corpora.tokens import read_index, token_dtype, tokens_at
from toedit.errors import UserError
from toedit.priors.loading import load_tokenizer, rows_for
from toedit.progress import progress

MIXTURE = "mixture.npy"
MANIFEST = "manifest.parquet"
BATCH = 1 << 16
"""Documents whose ids are in memory together."""


@dataclass
class MixtureStage(StageConfig, kind="mixture", rev=2):
    """A mixture of texts.

    Attributes:
        ratio: share of synthetic tokens.
        domains: human domains, with equal shares of the remaining tokens.
        tokens: size of the mixture.
        block_size: tokens per block.
        seed: decides which documents of a source are used.
        epochs: how often a source may be repeated.
    """

    ratio: float
    domains: list[str]
    tokens: int
    block_size: int
    seed: int
    epochs: int = 1

    def run(self, context: StageContext) -> dict[str, Any]:
        """Write the blocks and a manifest of the documents; return counts per source."""
        names = sorted(name for name in context.inputs if name.startswith("tokens"))
        index, shards = read_index([context.inputs[name] / SHARDS for name in names])
        rows = _shuffled_rows(index, self)
        lengths = index["tokens"].to_numpy()
        sources = {
            name: mixing.Documents(index["id"].take(source_rows), lengths[source_rows])
            for name, source_rows in rows.items()
        }
        size = self.tokens // self.block_size * self.block_size
        mixed = mixing.mix(sources, self.shares, size, self.epochs)
        tokenizer = load_tokenizer(str(context.inputs["tokenizer"] / FOLDER))
        documents = _documents(mixed, index, rows, shards, tokenizer.eos_token_id)
        digests = {name: mixing.Digest() for name in ["", *sorted(self.shares)]}
        header = {
            "descr": np.lib.format.dtype_to_descr(token_dtype(rows_for(tokenizer))),
            "fortran_order": False,
            "shape": (size // self.block_size, self.block_size),
        }
        with atomic_path(context.folder / MIXTURE) as temporary, temporary.open("wb") as handle:
            np.lib.format.write_array_header_2_0(handle, header)
            for source, identity, epoch, tokens in documents:
                handle.write(tokens.tobytes())
                for name in ("", source):
                    digests[name].add(source, identity, epoch, tokens)
        save_table(context.folder / MANIFEST, mixed.drop_columns(["row"]), compression="zstd")
        sums = mixed.group_by("source").aggregate([("tokens", "sum"), ("id", "count")])
        counts = {row["source"]: row for row in sums.to_pylist()}
        return {
            "tokens": size,
            "sha256": digests[""].hexdigest(),
            "sources": {
                name: {
                    "documents": counts[name]["id_count"] if name in counts else 0,
                    "tokens": counts[name]["tokens_sum"] if name in counts else 0,
                    "sha256": digests[name].hexdigest(),
                }
                for name in sorted(self.shares)
            },
        }

    @property
    def shares(self) -> dict[str, float]:
        """Share of the tokens of each source."""
        share = (1 - self.ratio) / len(self.domains)
        return {SYNTHETIC: self.ratio, **dict.fromkeys(self.domains, share)}


def stage(
    texts: Sequence[Stage], tokenizer: Stage, name: str, config: MixtureStage, arm: str
) -> Stage:
    """A mixture of the tokens of texts, cut by a tokenizer, for the runs of an arm."""
    inputs = {f"tokens{number or ''}": text for number, text in enumerate(texts)}
    return Stage(config, name, {**inputs, "tokenizer": tokenizer}, arm=arm, seed=config.seed)


def arm_name(ratio: float) -> str:
    """Name of an arm by its percentage of synthetic text."""
    return f"synthetic{100 * ratio:g}"


def _shuffled_rows(index: pa.Table, config: MixtureStage) -> dict[str, np.ndarray]:
    """Rows of the index of each source, in the order in which the seed uses them.

    Raises:
        UserError: a source is missing.
    """
    import pyarrow.compute as pc

    synthetic = pc.equal(index["kind"], SYNTHETIC)
    shuffled = {}
    for name, share in config.shares.items():
        if not share:
            continue
        human = pc.and_(pc.invert(synthetic), pc.equal(index["domain"], name))
        rows = np.flatnonzero((synthetic if name == SYNTHETIC else human).to_numpy())
        if not len(rows):
            raise UserError(f"the corpus holds no training text of {name!r}")
        batches = (rows[i : i + BATCH] for i in range(0, len(rows), BATCH))
        ids = (identity for batch in batches for identity in index["id"].take(batch).to_pylist())
        shuffled[name] = rows[split.shuffled(f"{config.seed}\x1f{identity}" for identity in ids)]
    return shuffled


def _documents(
    mixed: pa.Table,
    index: pa.Table,
    rows: dict[str, np.ndarray],
    shards: list[Path],
    end: int,
) -> Iterator[tuple[str, str, int, np.ndarray]]:
    """Source, id, epoch and tokens of the documents of a mixture, in its order."""
    shard, start = (index[name].to_numpy() for name in ("shard", "start"))
    with progress(len(mixed), "mix", "documents") as work:
        for batch in mixed.to_batches(max_chunksize=BATCH):
            columns = [batch[name].to_pylist() for name in mixed.column_names]
            for source, identity, row, epoch, number, cut in zip(*columns, strict=True):
                index_row = rows[source][row]
                tokens = tokens_at(shards[shard[index_row]], int(start[index_row]), number)
                if cut:
                    tokens = tokens.copy()
                    tokens[-1] = end  # a document that is cut ends where it is cut
                yield source, identity, epoch, tokens
            work.advance(len(batch))
