"""Scores of a prior on disk: a row a document, kept so that any rule can be applied later."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from toedit.corpora.files import damaged_as, save_table
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
    save_table(path, table, compression="zstd")


def write_document_scores(
    path: Path, rows: Iterable[tuple[str, TokenScores | None]], tokens: bool = False
) -> None:
    """Writes what a prior thinks of documents, for people: perplexity, and on demand every token.

    Args:
        path: parquet file.
        rows: document id and scores; None where it could not be scored.
        tokens: also token ids, the character each begins at, and log-probabilities.
    """
    schema = [("id", pa.string()), ("tokens", pa.int32()), ("scored", pa.int32()),
              ("log_likelihood", pa.float64()), ("perplexity", pa.float64())]  # fmt: skip
    if tokens:
        schema += [("token_ids", pa.list_(pa.int32())), ("starts", pa.list_(pa.int32())),
                   ("logprobs", pa.list_(pa.float32()))]  # fmt: skip
    values = []
    for identity, scores in rows:
        row: dict[str, Any] = {"id": identity}
        if scores is not None:
            likelihood = float(np.nansum(scores.logprobs.astype(np.float64)))
            row |= {"tokens": len(scores.tokens), "scored": int(scores.scored.sum()),
                    "log_likelihood": likelihood, "token_ids": scores.tokens.ids,
                    "perplexity": scores.perplexity if scores.scored.any() else None,
                    "starts": scores.tokens.starts, "logprobs": scores.logprobs}  # fmt: skip
        values.append(row)
    save_table(path, pa.Table.from_pylist(values, pa.schema(schema)))


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
