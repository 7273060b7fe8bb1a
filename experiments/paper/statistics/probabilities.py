"""Document perplexity and token probability of corpora under each prior."""

from __future__ import annotations

from dataclasses import astuple, fields
from typing import Any

import numpy as np

from experiments.paper.statistics.intervals import Found, Interval, bootstrap, exact_ends
from experiments.plans.statistics import HUMAN
from experiments.stages import perplexity
from toedit.stats.perplexities import Position, position
from toedit.stats.sums import BINS

HISTOGRAM_BINS = 24
POSITIONS = tuple(field.name for field in fields(Position))


def probabilities(found: Found, corpora: list[str], edited: list[str]) -> list[dict[str, Any]]:
    """What each prior makes of each corpus.

    Args:
        found: folders and records.
        corpora: names, the human one among them.
        edited: those that are the human one, edited.

    Returns:
        A dictionary a prior: histogram of log perplexity, and by corpus the record of the
        ``perplexity`` stage, its :class:`Position` in the human range and the U shape, with
        intervals.
    """
    prefix = f"perplexity/{HUMAN}-"
    priors = [name.removeprefix(prefix) for name in found if name.startswith(prefix)]
    return [_of_prior(found, prior, corpora, edited) for prior in priors]


def _of_prior(found: Found, prior: str, corpora: list[str], edited: list[str]) -> dict[str, Any]:
    tables, rows = {}, {}
    for name in corpora:
        folder, record = found[f"perplexity/{name}-{prior}"]
        tables[name] = perplexity.read(folder)
        rows[name] = {"metrics": record["metrics"], "u_shape": u_shape(tables[name])}
    human = tables[HUMAN]
    edges = _edges(np.concatenate([t["log_perplexity"] for t in tables.values()]))
    for name, own in tables.items():
        shares = np.histogram(own["log_perplexity"], edges)[0] / len(own["log_perplexity"])
        rows[name]["histogram"] = shares.tolist()
        if name != HUMAN:
            rows[name]["position"] = positions(human, own, name in edited)
    return {"prior": prior, "edges": np.exp(edges).tolist(), "corpora": rows}


def _edges(values: np.ndarray) -> np.ndarray:
    low, high = values.min(), values.max()
    return np.linspace(low, max(high, low + 1e-6), HISTOGRAM_BINS + 1)


def positions(
    human: dict[str, np.ndarray], other: dict[str, np.ndarray], same: bool
) -> dict[str, Interval]:
    """Where documents lie in the human range, each share with an interval.

    Args:
        human: what :func:`perplexity.read` gave.
        other: the same of another corpus.
        same: whether the documents are the human ones, edited.
    """
    first, second = human["log_perplexity"], other["log_perplexity"]
    if same:  # a document that became too short to be scored is left out of both
        _, a, b = np.intersect1d(human["id"], other["id"], return_indices=True)
        first, second = first[a], second[b]
    found = bootstrap(lambda h, o: astuple(position(h, o)), [first, second], same)
    named = dict(zip(POSITIONS, found, strict=True))
    for share in ("lowest_quarter", "inner_half", "tail"):
        named[share] = exact_ends(named[share], len(second))
    return named


def u_shape(table: dict[str, np.ndarray]) -> Interval:
    """Share of tokens in the smaller of the outer bins minus that in the largest inner one; above
    zero the histogram is a U."""

    def gap(histogram: np.ndarray) -> list[np.ndarray]:
        counts = histogram.sum(axis=1)
        shares = counts / counts.sum(axis=-1, keepdims=True)
        inner = shares[:, 1 : BINS - 1].max(axis=-1)
        return [np.minimum(shares[:, 0], shares[:, BINS - 1]) - inner]

    return bootstrap(gap, [table["histogram"]])[0]
