"""Write and read a prior's scores of documents, to which any editing rule can be applied later."""

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from toedit.corpora.files import damaged_as, load_table, parquet_files, save_table
from toedit.document import Tokens
from toedit.errors import UserError
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
    """Write pairs of document id and scores to parquet; rows of failed documents are null.

    ``k`` is the number of candidates per position, saved in the file's metadata; where a prior
    returns fewer, impossible ones fill the row.
    """
    columns: dict[str, list[Any]] = {"id": [], **{name: [] for name in _ARRAYS}}
    for identity, scores in scored:
        columns["id"].append(identity)
        for name in _ARRAYS:
            if scores is None:
                columns[name].append(None)
            else:
                source = scores.tokens if name in ("ids", "starts", "ends", "whole") else scores
                attribute = "has_exact_span" if name == "whole" else name
                columns[name].append(_filled(getattr(source, attribute), k).reshape(-1))
    fields = [pa.field("id", pa.string()), *(pa.field(n, pa.list_(t)) for n, t in _ARRAYS.items())]
    schema = pa.schema(fields, metadata={"k": str(k)})
    table = pa.table([pa.array(columns[f.name], f.type) for f in schema], schema=schema)
    save_table(path, table, compression="zstd")


def _filled(array: np.ndarray, k: int) -> np.ndarray:
    """Candidates with ``k`` columns; any other array unchanged."""
    if array.ndim == 1 or array.shape[1] == k:
        return array
    fill = -np.inf if array.dtype.kind == "f" else 0
    return np.pad(array, ((0, 0), (0, k - array.shape[1])), constant_values=fill)


def write_document_scores(
    path: Path, rows: Iterable[tuple[str, TokenScores | None]], tokens: bool = False
) -> None:
    """Write perplexities by document id to parquet; null for documents that failed.

    ``tokens`` adds token ids, the character each begins at, and log-probabilities.
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


def row_groups(folder: Path, units: int) -> list[tuple[Path, int]]:
    """The row groups of all files of a folder, in order: the units of a scoring pass.

    Raises:
        UserError: they are not as many.
    """
    found: list[tuple[Path, int]] = []
    for path in parquet_files(folder):
        with damaged_as(path):
            found += [(path, group) for group in range(pq.read_metadata(path).num_row_groups)]
    if len(found) != units:
        raise UserError(
            f"{str(folder)!r} holds scores of {len(found)} units, not {units}: score again"
        )
    return found


def read_scores(path: Path, group: int | None = None) -> Iterator[tuple[str, TokenScores | None]]:
    """Read a file of :func:`write_scores`, or one of its row groups.

    Raises:
        UserError: the file is damaged.
    """
    with damaged_as(path):
        table = load_table(path) if group is None else pq.ParquetFile(path).read_row_group(group)
    with damaged_as(path):
        k = int(table.schema.metadata[b"k"])
        ids = table["id"].to_pylist()
    for i, identity in enumerate(ids):
        if not table["ids"][i].is_valid:
            yield identity, None
            continue
        array = {name: table[name][i].values.to_numpy(zero_copy_only=False) for name in _ARRAYS}
        shape = (len(array["rows"]), k)
        scores = TokenScores(
            Tokens(array["ids"], array["starts"], array["ends"], array["whole"].astype(bool)),
            array["logprobs"].astype(np.float32),
            array["rows"],
            array["candidate_ids"].reshape(shape),
            array["candidate_logprobs"].reshape(shape),
        )
        yield identity, scores


def read_all_scores(folder: Path) -> Iterator[tuple[str, TokenScores | None]]:
    """Read the scores in all shards of a folder, in the order of their documents."""
    for path in parquet_files(folder):
        yield from read_scores(path)


def pair_scores(
    documents: Iterable[Any], scores: Iterable[tuple[str, TokenScores | None]]
) -> Iterator[tuple[Any, TokenScores | None]]:
    """Pair documents (ours or datatrove's) with their stored scores, None where scoring failed.

    Raises:
        UserError: the scores belong to other documents.
    """
    for document, pair in zip_longest(documents, scores):
        if document is None or pair is None:
            raise UserError("the scores are of another number of documents: score again")
        if pair[0] != document.id:
            raise UserError(
                f"scores of document {pair[0]!r} stand where {document.id!r} was expected: "
                "score again"
            )
        yield document, pair[1]
