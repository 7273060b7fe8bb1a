"""Statistics of document perplexity and token probability of corpora under each prior."""

from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

import numpy as np

from experiments.analysis import means, resampling
from experiments.analysis.estimate import Estimate
from experiments.plans.statistics import HUMAN
from experiments.stages import perplexity
from experiments.statistics.neighbours import Outputs
from toedit.stats.perplexities import Position, position
from toedit.stats.sums import BINS

HISTOGRAM_BINS = 24
POSITIONS = tuple(field.name for field in fields(Position))


def probabilities(outputs: Outputs, corpora: list[str], edited: list[str]) -> list[dict[str, Any]]:
    """Perplexity and token probability of each corpus under each prior.

    Documents of ``edited`` corpora are the human ones, edited.

    Returns:
        For each prior the histogram of log perplexity, and by corpus the record of the
        ``perplexity`` stage, its :class:`Position` in the human range, the U shape and the share
        of near-certain tokens, with intervals.
    """
    prefix = f"perplexity/{HUMAN}-"
    priors = [name.removeprefix(prefix) for name in outputs if name.startswith(prefix)]
    return [_of_prior(outputs, prior, corpora, edited) for prior in priors]


def _of_prior(
    outputs: Outputs, prior: str, corpora: list[str], edited: list[str]
) -> dict[str, Any]:
    folders = {name: outputs[f"perplexity/{name}-{prior}"][0] for name in corpora}
    logs = {n: perplexity.read(f, "log_perplexity")["log_perplexity"] for n, f in folders.items()}
    every = np.concatenate(list(logs.values()))
    low, high = every.min(), every.max()
    edges = np.linspace(low, max(high, low + 1e-6), HISTOGRAM_BINS + 1)
    rows = {}
    for name, values in logs.items():
        if name == HUMAN:
            alone = (*astuple(position(values, values))[:-1], np.zeros(1))  # the logarithm of 1
            estimates = {
                key: means.around(float(np.squeeze(v)), None, len(values), key)
                for key, v in zip(POSITIONS, alone, strict=True)
            }
        elif name in edited:
            estimates = positions(*_paired(folders[HUMAN], folders[name]), paired=True)
        else:
            estimates = positions(logs[HUMAN], values)
        shape, certain = shapes(folders[name])
        rows[name] = {
            "metrics": outputs[f"perplexity/{name}-{prior}"][1]["metrics"],
            "documents": len(values),
            "histogram": (np.histogram(values, edges)[0] / len(values)).tolist(),
            "position": {key: estimate.to_json() for key, estimate in estimates.items()},
            "u_shape": shape.to_json(),
            "near_certain": certain.to_json(),
        }
    return {"prior": prior, "edges": np.exp(edges).tolist(), "corpora": rows}


def _paired(human: Path, other: Path) -> tuple[np.ndarray, np.ndarray]:
    """Log perplexities of the documents that both have; an edited one may be too short for one."""
    first, second = (perplexity.read(folder, "id", "log_perplexity") for folder in (human, other))
    _, a, b = np.intersect1d(first["id"], second["id"], return_indices=True)
    return first["log_perplexity"][a], second["log_perplexity"][b]


def positions(human: np.ndarray, other: np.ndarray, paired: bool = False) -> dict[str, Estimate]:
    """Estimate the shares of documents in parts of the human perplexity range, and the logarithm of
    the ratio of interquartile ranges (:class:`Position`).

    Args:
        human: log perplexities ``[n]``.
        other: those of another corpus ``[m]``.
        paired: whether the documents are the human ones, edited, in the same order.
    """
    samples = [human, other]
    shares = resampling.bootstrap(lambda h, o: astuple(position(h, o)), samples, POSITIONS, paired)
    estimates = dict(zip(POSITIONS, shares, strict=True))
    for share in ("lowest_quarter", "inner_half", "tail"):
        estimates[share] = means.exact_ends(estimates[share], len(other))

    def log_spread(h: np.ndarray, o: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(position(h, o).spread)

    estimates["spread"] = resampling.bca(log_spread, samples, "log ratio", paired)
    return estimates


def shapes(folder: Path) -> tuple[Estimate, Estimate]:
    """Estimate the U shape of the histogram of token probabilities, and the share of p >= 0.99.

    The U shape is the share of tokens in the smaller of the two outer bins minus that in the
    largest inner one.
    """
    table = perplexity.read(folder, "histogram", "above_99")

    def shape(rows: np.ndarray) -> list[np.ndarray]:
        counts = rows.sum(axis=1)
        shares = counts / counts.sum(axis=-1, keepdims=True)
        outer = np.minimum(shares[:, 0], shares[:, BINS - 1])
        return [outer - shares[:, 1 : BINS - 1].max(axis=-1)]

    histogram = np.asarray(table["histogram"])
    (estimate,) = resampling.bootstrap(shape, [histogram], ["share of tokens"])
    above, below = np.asarray(table["above_99"], float), histogram.sum(axis=1).astype(float)
    return estimate, means.share(above, below)
