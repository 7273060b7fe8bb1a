"""Scores of a prior on disk: a row a document, kept so that any rule can be applied later."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from toedit.corpora.files import atomic_path, damaged_as
from toedit.document import Tokens
from toedit.priors.base import TokenScores

_ARRAYS = {
    "ids": pa.int32(),
    "starts": pa.int32(),
    "ends": pa.int32(),
    "whole": pa.bool_(),
    "logprobs": pa.float32(),
    "rows": pa.int32(),
    "candidate_ids": pa.int32(),
    "candidate_logprobs": pa.float32(),
}


def write_scores(path: Path, scored: Iterable[tuple[str, TokenScores | None]], k: int) -> None:
    """Writes the scores of documents, one row each; a failed document's row is null.

    Args:
        path: parquet file.
        scored: document id and scores.
        k: candidates a position, kept in the file's metadata.
    """
    columns: dict[str, list[Any]] = {"id": [], **{name: [] for name in _ARRAYS}}
    for identity, scores in scored:
        columns["id"].append(identity)
        for name in _ARRAYS:
            if scores is None:
                columns[name].append(None)
            else:
                owner = scores.tokens if name in ("ids", "starts", "ends", "whole") else scores
                columns[name].append(getattr(owner, name).reshape(-1))
    fields = [pa.field("id", pa.string()), *(pa.field(n, pa.list_(t)) for n, t in _ARRAYS.items())]
    schema = pa.schema(fields, metadata={"k": str(k)})
    table = pa.table([pa.array(columns[f.name], f.type) for f in schema], schema=schema)
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_scores(path: Path) -> Iterator[tuple[str, TokenScores | None]]:
    """Reads what :func:`write_scores` wrote."""
    with damaged_as(path):
        table = pq.read_table(path)
        k = int(table.schema.metadata[b"k"])
        ids = table["id"].to_pylist()
    for i, identity in enumerate(ids):
        if not table["ids"][i].is_valid:
            yield identity, None
            continue
        array = {name: table[name][i].values.to_numpy(zero_copy_only=False) for name in _ARRAYS}
        tokens = Tokens(array["ids"], array["starts"], array["ends"], array["whole"].astype(bool))
        shape = (len(array["rows"]), k)
        yield (
            identity,
            TokenScores(
                tokens,
                array["logprobs"].astype(np.float32),
                array["rows"],
                array["candidate_ids"].reshape(shape),
                array["candidate_logprobs"].reshape(shape),
            ),
        )
