"""Mixtures of sources at exact shares of tokens.

A mixture takes whole documents of each source, in the order given, until the source's share of the
tokens is reached to the token; only the last one is cut. The documents of all sources then stand in
one order that depends on their ids alone, so mixtures that share documents have them in the same
order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from toedit.errors import UserError

Tokenized = tuple[str, Sequence[int]]
"""A document's id and its tokens, the separator included."""


@dataclass(frozen=True)
class Taken:
    """A document in a mixture.

    Attributes:
        source: where it comes from.
        id: the document.
        epoch: 0, or how often its source was taken before.
        tokens: int32, what is taken of it.
        cut: it was longer.
    """

    source: str
    id: str
    epoch: int
    tokens: np.ndarray
    cut: bool


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
    sources: Mapping[str, Iterable[Tokenized]],
    shares: Mapping[str, float],
    tokens: int,
    epochs: int = 1,
    separator: int | None = None,
) -> list[Taken]:
    """Takes documents of several sources.

    Args:
        sources: documents of each source, in the order in which they are taken.
        shares: share of the tokens of each source; they add up to 1.
        tokens: tokens of the whole.
        epochs: how often a source may be taken to fill its share.
        separator: last token of a document that is cut; None leaves the cut as it is.

    Returns:
        The documents in their common order; their tokens add up to ``tokens``.

    Raises:
        UserError: a source holds too little.
    """
    taken = list(
        chain.from_iterable(
            _take(name, sources[name], quota, epochs, separator)
            for name, quota in quotas(shares, tokens).items()
            if quota
        )
    )
    return sorted(taken, key=lambda t: _place(f"{t.epoch}\x1f{t.source}\x1f{t.id}"))


def _take(
    name: str, documents: Iterable[Tokenized], quota: int, epochs: int, separator: int | None
) -> Iterator[Taken]:
    left = quota
    seen: list[tuple[str, np.ndarray]] = []
    for epoch in range(epochs):
        for identity, ids in documents if epoch == 0 else seen:
            whole = np.asarray(ids, np.int32)
            if epoch == 0 and epochs > 1:
                seen.append((identity, whole))
            part, cut = whole[:left], len(whole) > left
            if cut and separator is not None:
                part = np.append(part[:-1], np.int32(separator))
            yield Taken(name, identity, epoch, part, cut)
            left -= len(part)
            if not left:
                return
    raise UserError(
        f"source {name!r} holds {(quota - left) // epochs} tokens, but its share of the mixture is "
        f"{quota}; take fewer tokens, give more text, or allow more epochs"
    )


def _place(key: str) -> bytes:
    return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def digest(taken: Iterable[Taken]) -> str:
    """SHA-256 of the documents and their tokens."""
    whole = hashlib.sha256()
    for t in taken:
        whole.update(f"{t.source}\x1f{t.id}\x1f{t.epoch}\x1f{len(t.tokens)}\x1e".encode())
        whole.update(t.tokens.tobytes())
    return whole.hexdigest()
