"""Align two sequences of any length in time linear in their length.

Both are cut where a run of items stands once in each, in the same order. What lies between two cuts
is aligned by longest common subsequences of at most :data:`BLOCK` items, a bound on time and memory
at which the alignment of long stretches without such a run may miss that something moved far.
"""

from bisect import bisect_left
from itertools import pairwise

import numpy as np

RUN = 8
"""Items in a run that is looked for in both sequences."""

BLOCK = 1024
"""Most items that are aligned together."""


def aligned(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Find equal items of two sequences, in the same order in both.

    Args:
        first: int64 ``[m]``, an item by its number.
        second: int64 ``[n]``.

    Returns:
        int64 ``[pairs, 2]``, positions in the two; both columns increase.
    """
    if max(len(first), len(second)) <= BLOCK:
        return _block(first, second)
    found = [np.empty((0, 2), np.int64)]
    ends = np.array([[0, 0], [len(first), len(second)]])
    for (i, j), (m, n) in pairwise(np.insert(ends, 1, _anchors(first, second), axis=0).tolist()):
        while i < m and j < n:
            stop = min(i + BLOCK, m), min(j + BLOCK, n)
            start = np.array((i, j))
            pairs = start + _block(first[i : stop[0]], second[j : stop[1]])
            if stop != (m, n):  # what lies near the end of a block may belong to what follows
                inner = (pairs < start + BLOCK * 3 // 4).all(axis=1)
                pairs = pairs[inner]
                stop = tuple(pairs[-1] + 1) if len(pairs) else stop
            found.append(pairs)
            i, j = stop
    return np.concatenate(found)


def _anchors(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Positions of runs that occur once in each sequence, in the same order in both and not closer
    than a sixteenth of a block, int64 ``[anchors, 2]``."""
    (keys, starts), (other_keys, other_starts) = _runs(first), _runs(second)
    _, i, j = np.intersect1d(keys, other_keys, assume_unique=True, return_indices=True)
    pairs = np.stack([starts[i], other_starts[j]], axis=1)
    pairs = pairs[pairs[:, 0].argsort()]
    pairs = pairs[np.unique(pairs[:, 0] // (BLOCK // 16), return_index=True)[1]]
    return pairs[_increasing(pairs[:, 1].tolist())]


def _runs(items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of the runs that occur once, ascending, and their positions."""
    count = max(0, len(items) - RUN + 1)
    keys = np.zeros(count, np.uint64)
    for offset in range(RUN):
        keys = keys * np.uint64(0x9E3779B97F4A7C15) + items[offset : offset + count].astype(
            np.uint64
        )
    keys, starts, counts = np.unique(keys, return_index=True, return_counts=True)
    return keys[counts == 1], starts[counts == 1]


def _increasing(values: list[int]) -> list[int]:
    """Indices of a longest increasing subsequence."""
    tails: list[int] = []
    last: list[int] = []
    before: list[int] = []
    for index, value in enumerate(values):
        length = bisect_left(tails, value)
        before.append(last[length - 1] if length else -1)
        tails[length : length + 1], last[length : length + 1] = [value], [index]
    found, index = [], last[-1] if last else -1
    while index >= 0:
        found.append(index)
        index = before[index]
    return found[::-1]


def _block(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Align two short sequences: common ends, and a longest common subsequence between them."""
    shorter = min(len(first), len(second))
    differs = np.flatnonzero(first[:shorter] != second[:shorter])
    head = int(differs[0]) if len(differs) else shorter
    rest = shorter - head
    differs = np.flatnonzero(first[len(first) - rest :][::-1] != second[len(second) - rest :][::-1])
    tail = int(differs[0]) if len(differs) else rest
    m, n = len(first) - tail, len(second) - tail
    middle = _longest_common(first[head:m].tolist(), second[head:n].tolist())
    ends = np.arange(head), np.arange(tail)
    return np.concatenate(
        [
            np.stack([ends[0], ends[0]], axis=1),
            np.array(middle, np.int64).reshape(-1, 2) + head,
            np.stack([ends[1] + m, ends[1] + n], axis=1),
        ]
    )


def _longest_common(first: list[int], second: list[int]) -> list[tuple[int, int]]:
    """Pairs of a longest common subsequence (Hyyrö 2004: a row of the table is one whole number).

    Bit i of row j is 0 where the longest common subsequence with ``second[: j + 1]`` grows by
    taking ``first[i]`` in addition to ``first[:i]``.
    """
    where: dict[int, int] = {}
    for i, item in enumerate(first):
        where[item] = where.get(item, 0) | 1 << i
    row = full = (1 << len(first)) - 1
    rows = []
    for item in second:
        common = row & where.get(item, 0)
        row = (row + common | row - common) & full
        rows.append(row)
    i, j, pairs = len(first) - 1, len(second) - 1, []
    while i >= 0 and j >= 0:
        if rows[j] >> i & 1:
            i -= 1
        elif j and not rows[j - 1] >> i & 1:
            j -= 1
        else:
            pairs.append((i, j))
            i, j = i - 1, j - 1
    return pairs[::-1]
