"""Select part of the synthetic training text by one method, or the human text of a mixture."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any

import numpy as np
import pyarrow as pa

from experiments.config import SelectionConfig
from experiments.stage import Stage, StageConfig, StageContext
from experiments.stages.corpus import HELD_OUT, TRAIN, inputs_of, text_inputs, training_text
from experiments.stages.domains import SYNTHETIC
from experiments.stages.education import classifier, substitute
from experiments.stages.mixture import MANIFEST
from toedit.corpora import SHARDS
from toedit.corpora.documents import write_shards
from toedit.corpora.files import load_table, save_table
from toedit.corpora.scores import read_all_scores
from toedit.corpora.sources import local_documents
from toedit.document import Document
from toedit.errors import UserError
from toedit.stats import density, dsir

SELECTION = "selection.parquet"
ALL, LEARNED = "all", "learned"
"""Methods that select all synthetic text, and the human documents of a mixture."""

_FIELDS = {
    ALL: (),
    LEARNED: (),
    "random": ("share", "documents"),
    "dsir": ("share", "documents", "min_words", "order", "buckets"),
    "dsir_normalized": ("share", "documents", "min_words", "order", "buckets"),
    "education": ("share", "documents", "education"),
    "perplexity": ("share", "documents", "perplexity"),
    "density": ("share", "documents", "repetitions", "density_buckets"),
}
"""Settings that each method reads."""


@dataclass
class SelectStage(StageConfig, kind="select"):
    """A method and its settings; the seed is 0 for methods that draw nothing at random."""

    method: str
    selection: SelectionConfig
    seed: int = 0

    def run(self, context: StageContext) -> dict[str, Any]:
        """Write ``train/`` with the chosen documents and ``selection.parquet`` with all weights.

        The text is read again in every pass of a method: only ids and weights stay in memory.
        """
        kind = "human" if self.method == LEARNED else SYNTHETIC
        ids, sizes = [], []
        for document in _pool(context, kind):
            ids.append(document.id)
            sizes.append(len(document.text))
        if not ids:
            raise UserError(f"the corpus holds no {kind} training text")
        weights, order, extra = _ranked(self, context, ids)
        chosen = np.zeros(len(ids), bool)
        if self.method == LEARNED:
            mixture = load_table(context.inputs["mixture"] / MANIFEST, ["id"])
            learned = set(mixture["id"].to_pylist())
            chosen[[i for i, identity in enumerate(ids) if identity in learned]] = True
        else:
            chosen[_first(order, np.array(sizes), self)] = True
        digest = write_shards(context.folder / TRAIN, compress(_pool(context, kind), chosen))
        table = pa.table({"id": pa.array(ids, pa.string()), "weight": np.asarray(weights, float),
                          "chosen": chosen})  # fmt: skip
        save_table(context.folder / SELECTION, table)
        chosen_sizes = np.array(sizes)[chosen]
        return {
            "documents": len(ids),
            "characters": sum(sizes),
            "chosen_documents": len(chosen_sizes),
            "chosen_characters": int(chosen_sizes.sum()),
            "mean_characters": sum(sizes) / len(ids),
            "chosen_mean_characters": float(chosen_sizes.mean()),
            "sha256": digest,
            **extra,
        }


def stage(
    texts: Sequence[Stage],
    name: str,
    method: str,
    selection: SelectionConfig,
    seed: int,
    scores: Stage | None = None,
    mixture: Stage | None = None,
    arm: str | None = None,
) -> Stage:
    """A selection of the training text.

    Args:
        texts: human and synthetic text.
        method: one of ``selection.methods``, :data:`ALL` or :data:`LEARNED`.
        scores: scores of all synthetic text, for ``perplexity``.
        mixture: the mixture whose human documents are selected, for :data:`LEARNED`.
        arm: the arm that learns it; None for the name.
    """
    settings = SelectionConfig(**{f: getattr(selection, f) for f in _FIELDS[method]})
    draws = method in ("random", "dsir", "density")
    config = SelectStage(method, settings, seed if draws else 0)
    inputs = text_inputs(texts) | inputs_of(scores=scores, mixture=mixture)
    return Stage(config, name, inputs, arm=arm or name, seed=seed if draws else None)


def _pool(context: StageContext, kind: str) -> Iterator[Document]:
    """Training text of one kind."""
    return (d for d in training_text(context) if d.metadata["kind"] == kind)


def _ranked(
    config: SelectStage, context: StageContext, ids: list[str]
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Weights, documents in the order in which they are chosen, and further metrics."""
    settings = config.selection

    def texts(kind: str = SYNTHETIC) -> Iterator[str]:
        return (d.text for d in _pool(context, kind))

    noise = dsir.gumbel(len(ids), [config.seed, list(_FIELDS).index(config.method)])
    if config.method in (ALL, LEARNED):
        return np.zeros(len(ids)), np.arange(len(ids)), {}
    if config.method == "random":
        return noise, np.argsort(-noise), {}
    if config.method.startswith("dsir"):
        model = dsir.ImportanceModel.fit(texts("human"), texts(), settings.order, settings.buckets)
        weigh = model.weight if config.method == "dsir" else model.mean_weight
        both = np.dtype([("weight", float), ("words", np.int64)])
        rows = np.fromiter(map(weigh, texts()), both, len(ids))
        weights, words = rows["weight"], rows["words"]
        # Weights by n-gram lie within a few hundredths: noise of scale 1 would drown them.
        added_noise = noise if config.method == "dsir" else None
        order = dsir.choose(weights, words, len(ids), added_noise, settings.min_words)
        return weights, order, {"too_short": len(ids) - len(order)}
    if config.method == "density":
        sketch = density.Density(settings.repetitions, settings.density_buckets, config.seed)
        sketch.add(texts())
        responses = np.fromiter(map(sketch.response, texts()), float, len(ids))
        # Inverse to the density: the Gumbel trick on its negative logarithm.
        order = np.argsort(-(noise - np.log(responses)), kind="stable")
        return responses, order, {"response_quartiles": _quartiles(responses)}
    if config.method == "education":
        return _by_education(config, context, texts())
    return _by_perplexity(config, context, ids)


def _by_education(
    config: SelectStage, context: StageContext, texts: Iterable[str]
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    if config.selection.education is not None:
        scores = classifier(config.selection.education, texts)
        return scores, np.argsort(-scores, kind="stable"), {"score_quartiles": _quartiles(scores)}
    human = list(_pool(context, "human"))
    domains = {d.metadata["domain"] for d in human}
    folder = context.inputs["text"] / HELD_OUT
    documents = local_documents([folder]) if folder.is_dir() else ()
    held_out = [
        d for d in documents if d.metadata["domain"] in domains and d.metadata["kind"] != SYNTHETIC
    ]
    scores, area = substitute(human, held_out, list(texts))
    return scores, np.argsort(-scores, kind="stable"), {"substitute_heldout_auc": area}


def _by_perplexity(
    config: SelectStage, context: StageContext, ids: list[str]
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    known = {
        identity: scores.perplexity
        for identity, scores in read_all_scores(context.inputs["scores"] / SHARDS)
        if scores is not None and scores.scored.any()
    }
    perplexities = np.array([known.get(identity, np.nan) for identity in ids])
    scored = ~np.isnan(perplexities)
    if not scored.any():
        raise UserError("no synthetic document has a perplexity to select by")
    log = np.log(perplexities)
    rank = {"low": log, "high": -log, "middle": np.abs(log - np.nanmedian(log))}
    order = np.argsort(rank[config.selection.perplexity], kind="stable")  # NaN comes last
    metrics = {"perplexity_quartiles": _quartiles(perplexities[scored])}
    return perplexities, order[scored[order]], metrics


def _quartiles(values: np.ndarray) -> list[float]:
    return np.quantile(values, [0.25, 0.5, 0.75]).tolist()


def _first(order: np.ndarray, sizes: np.ndarray, config: SelectStage) -> np.ndarray:
    """The first documents of an order, up to the number or the share of characters to select."""
    number: int | None = config.selection.documents
    if config.method == ALL:
        number = len(order)
    elif number is None:
        before = np.cumsum(sizes[order]) - sizes[order]
        number = int((before < config.selection.share * sizes.sum()).sum())
    elif number > len(order):
        raise UserError(
            f"selection.documents={number} by {config.method}, but there are {len(order)} to "
            "choose from; lower it"
        )
    if not len(order):
        raise UserError(
            f"selection by {config.method} leaves no document; lower selection.min_words"
        )
    return order[:number]
