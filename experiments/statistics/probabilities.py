"""Document perplexity and token probability of corpora under each prior."""

from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

import numpy as np

from experiments.analysis import means, resampling
from experiments.analysis.estimate import Estimate
from experiments.plans.statistics import HUMAN
from experiments.stages import perplexity
from experiments.statistics.neighbours import Found
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
        ``perplexity`` stage, its :class:`Position` in the human range, the U shape and the share
        of near-certain tokens, with intervals.
    """
    prefix = f"perplexity/{HUMAN}-"
    priors = [name.removeprefix(prefix) for name in found if name.startswith(prefix)]
    return [_of_prior(found, prior, corpora, edited) for prior in priors]


def _of_prior(found: Found, prior: str, corpora: list[str], edited: list[str]) -> dict[str, Any]:
    folders = {name: found[f"perplexity/{name}-{prior}"][0] for name in corpora}
    values = {n: perplexity.read(f, "log_perplexity")["log_perplexity"] for n, f in folders.items()}
    edges = _edges(np.concatenate(list(values.values())))
    rows = {}
    for name, own in values.items():
        if name == HUMAN:
            alone = (*astuple(position(own, own))[:-1], np.zeros(1))  # the logarithm of 1
            place = {
                key: means.around(float(np.squeeze(v)), None, len(own), key)
                for key, v in zip(POSITIONS, alone, strict=True)
            }
        elif name in edited:
            place = positions(*_same(folders[HUMAN], folders[name]), same=True)
        else:
            place = positions(values[HUMAN], own)
        shape, certain = shapes(folders[name])
        rows[name] = {
            "metrics": found[f"perplexity/{name}-{prior}"][1]["metrics"],
            "documents": len(own),
            "histogram": (np.histogram(own, edges)[0] / len(own)).tolist(),
            "position": {key: found_.to_json() for key, found_ in place.items()},
            "u_shape": shape.to_json(),
            "near_certain": certain.to_json(),
        }
    return {"prior": prior, "edges": np.exp(edges).tolist(), "corpora": rows}


def _edges(values: np.ndarray) -> np.ndarray:
    low, high = values.min(), values.max()
    return np.linspace(low, max(high, low + 1e-6), HISTOGRAM_BINS + 1)


def _same(human: Path, other: Path) -> tuple[np.ndarray, np.ndarray]:
    """Log perplexities of the documents that both have; an edited one may be too short for one."""
    first, second = (perplexity.read(folder, "id", "log_perplexity") for folder in (human, other))
    _, a, b = np.intersect1d(first["id"], second["id"], return_indices=True)
    return first["log_perplexity"][a], second["log_perplexity"][b]


def positions(human: np.ndarray, other: np.ndarray, same: bool = False) -> dict[str, Estimate]:
    """Where documents lie in the human range, each share with an interval, and the logarithm of the
    ratio of interquartile ranges.

    Args:
        human: log perplexities ``[n]``.
        other: those of another corpus ``[m]``.
        same: whether the documents are the human ones, edited, in the same order.
    """
    found = resampling.bootstrap(
        lambda h, o: astuple(position(h, o)), [human, other], POSITIONS, same
    )
    named = dict(zip(POSITIONS, found, strict=True))
    for share in ("lowest_quarter", "inner_half", "tail"):
        named[share] = means.exact_ends(named[share], len(other))

    def log_spread(h: np.ndarray, o: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(position(h, o).spread)

    named["spread"] = resampling.bca(log_spread, [human, other], "log ratio", same)
    return named


def shapes(folder: Path) -> tuple[Estimate, Estimate]:
    """Of the tokens of a corpus: the share in the smaller of the outer bins minus that in the
    largest inner one, above zero where the histogram is a U; and the share with p >= 0.99."""
    table = perplexity.read(folder, "histogram", "above_99")

    def shape(rows: np.ndarray) -> list[np.ndarray]:
        counts = rows.sum(axis=1)
        shares = counts / counts.sum(axis=-1, keepdims=True)
        inner = shares[:, 1 : BINS - 1].max(axis=-1)
        return [np.minimum(shares[:, 0], shares[:, BINS - 1]) - inner]

    histogram = np.asarray(table["histogram"])
    (found,) = resampling.bootstrap(shape, [histogram], ["share of tokens"])
    above, below = np.asarray(table["above_99"], float), histogram.sum(axis=1).astype(float)
    return found, means.share(above, below)
