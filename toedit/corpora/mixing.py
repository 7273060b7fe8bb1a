"""Mixtures of sources at exact shares of tokens.

A mixture takes whole documents of each source, in the order given, until the source's share of the
tokens is reached to the token; only the last one is cut. The documents of all sources then stand in
one order that depends on their ids alone, so mixtures that share documents have them in the same
order. Only ids and lengths are looked at: the tokens may lie on a disk.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from toedit.errors import UserError


@dataclass(frozen=True)
class Documents:
    """The documents of a source, in the order in which they are taken.

    Attributes:
        ids: what they go by, strings of arrow.
        lengths: int ``[documents]``, tokens of each, the separator included.
    """

    ids: pa.Array | pa.ChunkedArray
    lengths: np.ndarray


def quotas(shares: Mapping[str, float], tokens: int) -> dict[str, int]:
    """Tokens of each source, which add up to ``tokens``: rounded down, the largest rests up.

    Raises:
        UserError: a share is negative, or they do not add up to 1.
    """
    if (
        any(not 0 <= share <= 1 for share in shares.values())
        or abs(sum(shares.values()) - 1) > 1e-9
    ):
        listed = ", ".join(f"{name} {share:g}" for name, share in shares.items())
        raise UserError(f"shares of a mixture must lie in 0..1 and add up to 1, not {listed}")
    exact = {name: share * tokens for name, share in shares.items()}
    whole = {name: int(value + 1e-9) for name, value in exact.items()}
    rests = sorted(shares, key=lambda name: (whole[name] - exact[name], name))
    for name in rests[: tokens - sum(whole.values())]:
        whole[name] += 1
    return whole


def mix(
    sources: Mapping[str, Documents],
    shares: Mapping[str, float],
    tokens: int,
    epochs: int = 1,
) -> pa.Table:
    """Takes documents of several sources.

    Args:
        sources: documents of each source.
        shares: share of the tokens of each source; they add up to 1.
        tokens: tokens of the whole.
        epochs: how often a source may be taken to fill its share.

    Returns:
        The documents in their common order, a row each: ``source``, ``id``, ``row`` (place in its
        source), ``epoch`` (0, or how often its source was taken before), ``tokens`` (taken of it;
        their sum is ``tokens``) and ``cut`` (it was longer).

    Raises:
        UserError: a source holds too little.
    """
    wanted = {name: quota for name, quota in quotas(shares, tokens).items() if quota}
    taken = pa.concat_tables(
        [
            part
            for name, quota in wanted.items()
            for part in _take(name, sources[name], quota, epochs)
        ]
    )
    places = np.fromiter(map(_place, _keys(taken)), np.uint64, len(taken))
    return taken.take(np.argsort(places, kind="stable"))


def _keys(taken: pa.Table) -> Iterator[str]:
    for batch in taken.to_batches(max_chunksize=1 << 16):
        columns = (batch[name].to_pylist() for name in ("epoch", "source", "id"))
        yield from (
            f"{epoch}\x1f{source}\x1f{name}" for epoch, source, name in zip(*columns, strict=True)
        )


def _take(name: str, documents: Documents, quota: int, epochs: int) -> Iterator[pa.Table]:
    """A table for every time that documents of the source are taken."""
    ends = np.cumsum(documents.lengths, dtype=np.int64)
    whole = int(ends[-1]) if len(ends) else 0
    if quota > epochs * whole:
        raise UserError(
            f"source {name!r} holds {whole} tokens, but its share of the mixture is "
            f"{quota}; take fewer tokens, give more text, or allow more epochs"
        )
    for epoch in range(-(-quota // whole)):
        left = min(quota - epoch * whole, whole)
        number = int(np.searchsorted(ends, left)) + 1
        lengths = np.asarray(documents.lengths[:number], np.int64).copy()
        lengths[-1] -= int(ends[number - 1]) - left
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


def _place(key: str) -> int:
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest)


class Digest:
    """SHA-256 of documents and their tokens, one after the other."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, source: str, identity: str, epoch: int, tokens: np.ndarray) -> None:
        """Adds a document; its tokens count as int32, however they are kept."""
        name = f"{source}\x1f{identity}\x1f{epoch}\x1f{len(tokens)}\x1e"
        self._hash.update(name.encode("utf-8", "surrogatepass"))
        self._hash.update(np.ascontiguousarray(tokens, "<i4").tobytes())

    def hexdigest(self) -> str:
        """The digest so far."""
        return self._hash.hexdigest()
