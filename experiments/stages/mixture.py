"""Training tokens of an arm: human and synthetic documents at an exact ratio, in blocks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from experiments.stage import Stage, StageConfig, StageContext
from experiments.stages.domains import SYNTHETIC
from experiments.stages.tokenizer import FOLDER
from toedit.corpora import split
from toedit.corpora.files import atomic_path, save_table
from toedit.errors import UserError
from toedit.priors.loading import load_tokenizer

MIXTURE = "mixture.npy"
MANIFEST = "manifest.parquet"
BATCH = 1 << 16
"""Documents whose ids are looked at together."""


@dataclass
class MixtureStage(StageConfig, kind="mixture", rev=2):
    """Share of synthetic tokens, human domains (equal shares of the rest), and the size."""

    ratio: float
    domains: list[str]
    tokens: int
    block_size: int
    seed: int
    epochs: int = 1

    def run(self, context: StageContext) -> dict[str, Any]:
        """Writes the blocks and a manifest of the documents; returns counts a source."""
        from toedit.corpora import mixing
        from toedit.corpora.tokens import read_index, token_dtype
        from toedit.pipeline import SHARDS

        names = sorted(name for name in context.inputs if name.startswith("tokens"))
        index, shards = read_index([context.inputs[name] / SHARDS for name in names])
        rows = _in_order(index, self)
        lengths = index["tokens"].to_numpy()
        sources = {
            name: mixing.Documents(index["id"].take(own), lengths[own])
            for name, own in rows.items()
        }
        size = self.tokens // self.block_size * self.block_size
        taken = mixing.mix(sources, _shares(self), size, self.epochs)
        tokenizer = load_tokenizer(str(context.inputs["tokenizer"] / FOLDER))
        documents = _documents(taken, index, rows, shards, tokenizer.eos_token_id)
        digests = {name: mixing.Digest() for name in ["", *sorted(_shares(self))]}
        header = {
            "descr": np.lib.format.dtype_to_descr(token_dtype(len(tokenizer))),
            "fortran_order": False,
            "shape": (size // self.block_size, self.block_size),
        }
        with atomic_path(context.folder / MIXTURE) as temporary, temporary.open("wb") as handle:
            np.lib.format.write_array_header_2_0(handle, header)
            for source, identity, epoch, tokens in documents:
                handle.write(tokens.tobytes())
                for name in ("", source):
                    digests[name].add(source, identity, epoch, tokens)
        manifest = taken.drop_columns(["row"])
        save_table(context.folder / MANIFEST, manifest, compression="zstd")
        counts = (
            taken.group_by("source").aggregate([("tokens", "sum"), ("id", "count")]).to_pylist()
        )
        found = {row["source"]: (row["id_count"], row["tokens_sum"]) for row in counts}
        return {
            "tokens": size,
            "sha256": digests[""].hexdigest(),
            "sources": {
                name: dict(zip(("documents", "tokens"), found.get(name, (0, 0)), strict=True))
                | {"sha256": digests[name].hexdigest()}
                for name in sorted(_shares(self))
            },
        }


def stage(
    texts: Sequence[Stage],
    tokenizer: Stage,
    name: str,
    ratio: float,
    domains: list[str],
    tokens: int,
    block_size: int,
    seed: int,
    epochs: int = 1,
    arm: str | None = None,
) -> Stage:
    """The tokens of a run: which documents of a source are taken depends on the seed.

    Args:
        texts: tokens of the texts, of whose kinds the shares hold together.
        tokenizer: which cut them.
        name: of the stage.
        ratio: share of synthetic tokens.
        domains: human domains, with equal shares of the rest.
        tokens: of the mixture.
        block_size: tokens in a block.
        seed: of the run.
        epochs: how often a source may be repeated.
        arm: that learns it; None for the name.
    """
    config = MixtureStage(ratio, sorted(domains), tokens, block_size, seed, epochs)
    inputs = {f"tokens{number or ''}": text for number, text in enumerate(texts)}
    return Stage(config, name, {**inputs, "tokenizer": tokenizer}, arm=arm or name, seed=seed)


def arm_name(ratio: float) -> str:
    """Name of an arm by its percentage of synthetic text."""
    return f"synthetic{100 * ratio:g}"


def _shares(config: MixtureStage) -> dict[str, float]:
    share = (1 - config.ratio) / len(config.domains)
    return {SYNTHETIC: config.ratio, **dict.fromkeys(config.domains, share)}


def _in_order(index: pa.Table, config: MixtureStage) -> dict[str, np.ndarray]:
    """Rows of the index of each source, in the order in which the seed takes them.

    Raises:
        UserError: a source is missing.
    """
    import pyarrow.compute as pc

    synthetic = pc.equal(index["kind"], SYNTHETIC)
    found = {}
    for name, share in _shares(config).items():
        if not share:
            continue
        wanted = pc.and_(pc.invert(synthetic), pc.equal(index["domain"], name))
        rows = np.flatnonzero((synthetic if name == SYNTHETIC else wanted).to_numpy())
        if not len(rows):
            raise UserError(f"the corpus holds no training text of {name!r}")
        batches = (rows[i : i + BATCH] for i in range(0, len(rows), BATCH))
        ids = (name for batch in batches for name in index["id"].take(batch).to_pylist())
        found[name] = rows[split.shuffled(f"{config.seed}\x1f{identity}" for identity in ids)]
    return found


def _documents(
    taken: pa.Table,
    index: pa.Table,
    rows: dict[str, np.ndarray],
    shards: list[Path],
    end: int,
) -> Iterator[tuple[str, str, int, np.ndarray]]:
    """Source, id, epoch and tokens of the documents of a mixture, in its order."""
    from tqdm import tqdm

    from toedit.corpora.tokens import tokens_at

    shard, start = (index[name].to_numpy() for name in ("shard", "start"))
    bar = tqdm(total=len(taken), unit="doc", desc="mix", mininterval=1, delay=5)
    with bar:
        for batch in taken.to_batches(max_chunksize=BATCH):
            columns = [batch[name].to_pylist() for name in taken.column_names]
            for source, identity, row, epoch, tokens, cut in zip(*columns, strict=True):
                place = rows[source][row]
                found = tokens_at(shards[shard[place]], int(start[place]), tokens)
                if cut:
                    found = found.copy()
                    found[-1] = end  # a document that is cut ends where it is cut
                yield source, identity, epoch, found
            bar.update(len(batch))
