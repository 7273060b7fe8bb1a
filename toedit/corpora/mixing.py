"""Mixtures of sources at exact shares of tokens.

A mixture takes whole documents of each source, in the order of the source, until it reaches the
source's share of the tokens; only the last document is cut, so the share is exact to the token. The
order of all documents depends on their ids alone, so mixtures that share documents have them in the
same order. Only ids and lengths are needed: the tokens may stay on disk.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from toedit.errors import UserError


@dataclass(frozen=True)
class Documents:
    """The documents of a source, in the order in which a mixture takes them.

    Attributes:
        ids: their ids, strings of arrow.
        lengths: int ``[documents]``, tokens of each, the separator included.
    """

    ids: pa.Array | pa.ChunkedArray
    lengths: np.ndarray


def quotas(shares: Mapping[str, float], tokens: int) -> dict[str, int]:
    """Divide ``tokens`` among sources by the largest remainder method.

    Raises:
        UserError: a share is negative, or they do not add up to 1.
    """
    in_range = all(0 <= share <= 1 for share in shares.values())
    if not in_range or abs(sum(shares.values()) - 1) > 1e-9:
        listed = ", ".join(f"{name} {share:g}" for name, share in shares.items())
        raise UserError(f"shares of a mixture must lie in 0..1 and add up to 1, not {listed}")
    exact = {name: share * tokens for name, share in shares.items()}
    rounded = {name: int(value + 1e-9) for name, value in exact.items()}
    by_remainder = sorted(shares, key=lambda name: (rounded[name] - exact[name], name))
    for name in by_remainder[: tokens - sum(rounded.values())]:
        rounded[name] += 1
    return rounded


def mix(
    sources: Mapping[str, Documents], shares: Mapping[str, float], tokens: int, epochs: int = 1
) -> pa.Table:
    """Select documents of several sources for a mixture of ``tokens`` tokens.

    Args:
        shares: share of the tokens of each source; they add up to 1.
        epochs: maximum number of passes over a source to fill its share.

    Returns:
        The documents in their common order, one per row: ``source``, ``id``, ``row`` (index in its
        source), ``epoch`` (0 for the first pass over its source), ``tokens`` (tokens used; their
        sum is ``tokens``) and ``cut`` (whether it is longer).

    Raises:
        UserError: a source holds too few tokens.
    """
    selected = pa.concat_tables(
        [
            part
            for name, quota in quotas(shares, tokens).items()
            if quota
            for part in _select(name, sources[name], quota, epochs)
        ]
    )
    keys = np.fromiter(map(_hash, _names(selected)), np.uint64, len(selected))
    return selected.take(np.argsort(keys, kind="stable"))


def _names(selected: pa.Table) -> Iterator[str]:
    """Epoch, source and id of each row as one string."""
    for batch in selected.to_batches(max_chunksize=1 << 16):
        columns = (batch[name].to_pylist() for name in ("epoch", "source", "id"))
        yield from ("\x1f".join(map(str, row)) for row in zip(*columns, strict=True))


def _hash(name: str) -> int:
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest)


def _select(name: str, documents: Documents, quota: int, epochs: int) -> Iterator[pa.Table]:
    """Documents of a source with ``quota`` tokens in total, one table per epoch."""
    ends = np.cumsum(documents.lengths, dtype=np.int64)
    available = int(ends[-1]) if len(ends) else 0
    if quota > epochs * available:
        raise UserError(
            f"source {name!r} holds {available} tokens, but its share of the mixture is "
            f"{quota}; take fewer tokens, give more text, or allow more epochs"
        )
    for epoch in range(-(-quota // available)):
        needed = min(quota - epoch * available, available)
        number = int(np.searchsorted(ends, needed)) + 1
        lengths = np.asarray(documents.lengths[:number], np.int64).copy()
        lengths[-1] -= int(ends[number - 1]) - needed
        yield pa.table(
            {
                "source": pa.array([name] * number, pa.string()),
                "id": documents.ids.slice(0, number).cast(pa.large_string()),
                "row": np.arange(number),
                "epoch": np.full(number, epoch),
                "tokens": lengths,
                "cut": lengths < documents.lengths[:number],
            }
        )


class Digest:
    """SHA-256 of a sequence of documents and their tokens."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, source: str, identity: str, epoch: int, tokens: np.ndarray) -> None:
        """Add a document; its tokens are hashed as int32, whatever their dtype."""
        name = f"{source}\x1f{identity}\x1f{epoch}\x1f{len(tokens)}\x1e"
        self._hash.update(name.encode("utf-8", "surrogatepass"))
        self._hash.update(np.ascontiguousarray(tokens, "<i4").tobytes())

    def hexdigest(self) -> str:
        """The digest so far."""
        return self._hash.hexdigest()
