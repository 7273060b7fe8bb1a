"""F1 over items: its error by the bootstrap, and p by swapping the predictions of two arms.

F1 is no mean over items. Items are drawn once for all seeds and arms, since they are the same
items; drawing them anew for every seed would take their error for one that more seeds reduce.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from evals.scoring import f1_of
from experiments.analysis.observations import cluster_numbers

DRAWS = 2000
SEED = 0
BLOCK = 1 << 22
"""Numbers held together."""

Answers = np.ndarray
"""Class of question, label and prediction of each item, int ``[n, 3]``."""


def error(
    firsts: Sequence[Answers | None], seconds: Sequence[Answers | None], clusters: Sequence[str]
) -> float:
    """Standard error over items of the mean over seeds of F1, or of a difference of two arms.

    Args:
        firsts: answers of the first arm by seed.
        seconds: those of the second, subtracted; none for the first arm alone.
        clusters: of the items, which are drawn as a whole.

    Returns:
        Standard deviation over :data:`DRAWS` resamples; 0 for a single cluster.
    """
    codes, number = cluster_numbers(clusters)
    if number < 2:
        return 0.0
    first = firsts[0]
    assert first is not None
    columns = [own[:, 2] for own in (*firsts, *seconds) if own is not None]
    # Items that are alike in all that counts are one kind.
    kinds, kind = np.unique(np.column_stack([first[:, :2], *columns]), axis=0, return_inverse=True)
    by_cluster = np.zeros((number, len(kinds)))
    np.add.at(by_cluster, (codes, kind.ravel()), 1.0)
    rng, found = np.random.default_rng(SEED), []
    step = max(1, BLOCK // number)
    for size in (min(step, DRAWS - begun) for begun in range(0, DRAWS, step)):
        drawn = rng.multinomial(number, np.full(number, 1 / number), size) @ by_cluster
        scores = [f1_of(kinds[:, [0, 1, 2 + column]], drawn) for column in range(len(columns))]
        value = np.mean(scores[: len(firsts)], axis=0)
        if seconds:
            value = value - np.mean(scores[len(firsts) :], axis=0)
        found.append(value)
    values = np.concatenate(found)
    return float(values[np.isfinite(values)].std(ddof=1))


def swap_p(first: Answers | None, second: Answers | None, clusters: Sequence[str]) -> float:
    """Two-sided p of a difference of F1 of one seed, by swapping the arms' predictions.

    Where neither arm is better, the two predictions of an item may as well stand the other way
    round. Clusters are swapped as a whole.

    Args:
        first: answers of one arm.
        second: those of the other on the same items.
        clusters: of the items.
    """
    assert first is not None
    assert second is not None
    if np.array_equal(first[:, 2], second[:, 2]):
        return 1.0
    codes, number = cluster_numbers(clusters)

    def difference(swapped: np.ndarray) -> float:
        a, b = first.copy(), second.copy()
        a[swapped, 2], b[swapped, 2] = second[swapped, 2], first[swapped, 2]
        ones = np.ones(len(a))
        return float(f1_of(a, ones) - f1_of(b, ones))

    observed = abs(difference(np.zeros(len(codes), bool))) * (1 - 1e-9)
    beyond = sum(abs(difference(own[codes])) >= observed for own in _swaps(number))
    return (1 + beyond) / (1 + DRAWS)


def _swaps(number: int) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(SEED)
    for _ in range(DRAWS):
        yield rng.integers(0, 2, number).astype(bool)
