"""F1 over items: its error by the bootstrap, and p by swapping the predictions of two arms.

F1 is no mean over items. Each resample of items serves all seeds and arms, since they share the
items; separate resamples per seed would make their error one that more seeds reduce.
"""

from collections.abc import Sequence

import numpy as np

from evals.scoring import f1_of
from experiments.analysis.observations import cluster_numbers

DRAWS = 2000
SEED = 0
BLOCK = 1 << 22
"""Numbers held in memory together."""

Answers = np.ndarray
"""Class of question, label and prediction of each item, int ``[n, 3]``."""


def error(
    firsts: Sequence[Answers | None], seconds: Sequence[Answers | None], clusters: Sequence[str]
) -> float:
    """Standard error over items of the mean over seeds of F1, or of a difference of two arms.

    It is the standard deviation over :data:`DRAWS` resamples of entire clusters; 0 for one cluster.

    Args:
        firsts: answers of the first arm by seed.
        seconds: those of the second, subtracted; none for the first arm alone.
        clusters: of the items.
    """
    codes, number = cluster_numbers(clusters)
    if number < 2:
        return 0.0
    first = firsts[0]
    assert first is not None
    columns = [answers[:, 2] for answers in (*firsts, *seconds) if answers is not None]
    # Items with the same question class, label and predictions are one kind.
    kinds, kind = np.unique(np.column_stack([first[:, :2], *columns]), axis=0, return_inverse=True)
    by_cluster = np.zeros((number, len(kinds)))
    np.add.at(by_cluster, (codes, kind.ravel()), 1.0)
    rng, values = np.random.default_rng(SEED), []
    step = max(1, BLOCK // number)
    for start in range(0, DRAWS, step):
        size = min(step, DRAWS - start)
        counts = rng.multinomial(number, np.full(number, 1 / number), size) @ by_cluster
        scores = [f1_of(kinds[:, [0, 1, 2 + column]], counts) for column in range(len(columns))]
        value = np.mean(scores[: len(firsts)], axis=0)
        if seconds:
            value = value - np.mean(scores[len(firsts) :], axis=0)
        values.append(value)
    resampled = np.concatenate(values)
    return float(resampled[np.isfinite(resampled)].std(ddof=1))


def swap_p(first: Answers | None, second: Answers | None, clusters: Sequence[str]) -> float:
    """Two-sided p of a difference of F1 of one seed, by swapping the arms' predictions.

    If neither arm is better, the two predictions of an item are exchangeable. The arms answer the
    same items, whose clusters are swapped as a unit.
    """
    assert first is not None
    assert second is not None
    if np.array_equal(first[:, 2], second[:, 2]):
        return 1.0
    codes, number = cluster_numbers(clusters)
    ones = np.ones(len(first))

    def difference(swapped: np.ndarray) -> float:
        a, b = first.copy(), second.copy()
        a[swapped, 2], b[swapped, 2] = second[swapped, 2], first[swapped, 2]
        return float(f1_of(a, ones) - f1_of(b, ones))

    observed = abs(difference(np.zeros(len(codes), bool))) * (1 - 1e-9)
    rng, beyond = np.random.default_rng(SEED), 0
    for _ in range(DRAWS):
        swapped = rng.integers(0, 2, number).astype(bool)
        beyond += abs(difference(swapped[codes])) >= observed
    return (1 + beyond) / (1 + DRAWS)
