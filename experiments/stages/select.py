"""A part of the training text, chosen by one method: of the synthetic, or some of the human."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from experiments.config import SelectionConfig
from experiments.stage import Stage, StageConfig, StageContext
from experiments.stages.corpus import HELD_OUT, TRAIN, text_inputs, training_text
from experiments.stages.domains import SYNTHETIC
from experiments.stages.mixture import MANIFEST
from toedit.corpora.documents import write_shards
from toedit.corpora.files import load_table, save_table
from toedit.corpora.sources import local_documents
from toedit.document import Document
from toedit.errors import UserError

SELECTION = "selection.parquet"
ALL, LEARNED = "all", "learned"
"""The whole synthetic text, and the human text of a mixture, for what reads them alone."""

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
"""The settings that a method reads."""


@dataclass
class SelectStage(StageConfig, kind="select"):
    """A method and its settings; the seed only where it draws."""

    method: str
    selection: SelectionConfig
    seed: int = 0

    def run(self, context: StageContext) -> dict[str, Any]:
        """Writes ``train/`` with the chosen documents and ``selection.parquet`` with all weights.

        The text is read once for every pass of a method, so that ids and weights alone are kept.
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
            learned = _in_mixture(context.inputs["mixture"])
            chosen[[i for i, identity in enumerate(ids) if identity in learned]] = True
        else:
            chosen[_first(order, np.array(sizes), self)] = True
        documents = (d for d, taken in zip(_pool(context, kind), chosen, strict=True) if taken)
        digest = write_shards(context.folder / TRAIN, documents)
        table = pa.table({"id": pa.array(ids, pa.string()), "weight": np.asarray(weights, float),
                          "chosen": chosen})  # fmt: skip
        save_table(context.folder / SELECTION, table)
        taken = np.array(sizes)[chosen]
        return {
            "documents": len(ids),
            "characters": sum(sizes),
            "chosen_documents": len(taken),
            "chosen_characters": int(taken.sum()),
            "mean_characters": sum(sizes) / len(ids),
            "chosen_mean_characters": float(taken.mean()),
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
        name: of the stage.
        method: how it is chosen.
        selection: settings of the method.
        seed: of the run.
        scores: of all the synthetic text, for ``perplexity``.
        mixture: whose human documents are taken, for :data:`LEARNED`.
        arm: that learns it; None for the name.
    """
    own = SelectionConfig(**{f: getattr(selection, f) for f in _FIELDS[method]})
    draws = method in ("random", "dsir", "density")
    config = SelectStage(method, own, seed if draws else 0)
    given = {"scores": scores, "mixture": mixture}
    inputs = {name: stage for name, stage in given.items() if stage is not None}
    return Stage(
        config, name, {**text_inputs(texts), **inputs},
        arm=arm or name, seed=seed if draws else None,
    )  # fmt: skip


def _pool(context: StageContext, kind: str) -> Iterator[Document]:
    """Training text of one kind."""
    return (d for d in training_text(context) if d.metadata["kind"] == kind)


def _ranked(
    config: SelectStage, context: StageContext, ids: list[str]
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Weights, the documents in the order in which they are chosen, and what else was measured."""
    from toedit.stats import density, dsir

    chosen = config.selection

    def texts(kind: str = SYNTHETIC) -> Iterator[str]:
        return (d.text for d in _pool(context, kind))

    noise = dsir.gumbel(len(ids), [config.seed, list(_FIELDS).index(config.method)])
    if config.method in (ALL, LEARNED):
        return np.zeros(len(ids)), np.arange(len(ids)), {}
    if config.method == "random":
        return noise, np.argsort(-noise), {}
    if config.method.startswith("dsir"):
        model = dsir.ImportanceModel.fit(texts("human"), texts(), chosen.order, chosen.buckets)
        weigh = model.weight if config.method == "dsir" else model.mean_weight
        both = np.dtype([("weight", float), ("words", np.int64)])
        found = np.fromiter(map(weigh, texts()), both, len(ids))
        weights, words = found["weight"], found["words"]
        # Weights by n-gram lie within a few hundredths: noise of scale 1 would drown them.
        drawn = noise if config.method == "dsir" else None
        order = dsir.choose(weights, words, len(ids), drawn, chosen.min_words)
        return weights, order, {"too_short": len(ids) - len(order)}
    if config.method == "density":
        sketch = density.Density(chosen.repetitions, chosen.density_buckets, config.seed)
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
    from experiments.stages.education import classifier, substitute

    if config.selection.education is not None:
        found = classifier(config.selection.education, texts)
        return found, np.argsort(-found, kind="stable"), {"score_quartiles": _quartiles(found)}
    human = list(_pool(context, "human"))
    trained_on = {d.metadata["domain"] for d in human}
    folder = context.inputs["text"] / HELD_OUT
    known = local_documents([folder]) if folder.is_dir() else ()
    held_out = [
        d for d in known if d.metadata["domain"] in trained_on and d.metadata["kind"] != SYNTHETIC
    ]
    found, area = substitute(human, held_out, list(texts))
    return found, np.argsort(-found, kind="stable"), {"substitute_heldout_auc": area}


def _by_perplexity(
    config: SelectStage, context: StageContext, ids: list[str]
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    from toedit.corpora.scores import read_scores
    from toedit.pipeline import SHARDS

    shards = sorted((context.inputs["scores"] / SHARDS).glob("*.parquet"))
    known = {
        identity: scores.perplexity
        for path in shards
        for identity, scores in read_scores(path)
        if scores is not None and scores.scored.any()
    }
    found = np.array([known.get(identity, np.nan) for identity in ids])
    if np.isnan(found).all():
        raise UserError("no synthetic document has a perplexity to select by")
    log = np.log(found)
    rank = {"low": log, "high": -log, "middle": np.abs(log - np.nanmedian(log))}
    order = np.argsort(rank[config.selection.perplexity], kind="stable")  # NaN comes last
    order = order[~np.isnan(found[order])]
    return found, order, {"perplexity_quartiles": _quartiles(found[~np.isnan(found)])}


def _quartiles(values: np.ndarray) -> list[float]:
    return [float(v) for v in np.quantile(values, [0.25, 0.5, 0.75])]


def _in_mixture(folder: Path) -> set[str]:
    """Ids of the documents in a mixture."""
    return set(load_table(folder / MANIFEST, ["id"])["id"].to_pylist())


def _first(order: np.ndarray, sizes: np.ndarray, config: SelectStage) -> np.ndarray:
    """The first documents of an order: so many, or those that hold the share of the characters."""
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
