"""A part of the training text, chosen by one method: of the synthetic, or some of the human."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from experiments.fingerprint import Stage, StageContext
from experiments.schema import SelectionConfig
from experiments.stages.corpus import HELD_OUT, TRAIN, write_shards
from experiments.stages.domains import SYNTHETIC
from experiments.stages.mixture import MANIFEST
from toedit.document import Document
from toedit.errors import UserError

REV = 1
SELECTION = "selection.parquet"
ALL, LEARNED = "all", "learned"
"""The whole synthetic text, and the human text of a mixture, for what reads them alone."""

_FIELDS = {
    ALL: (),
    LEARNED: (),
    "random": ("share",),
    "dsir": ("share", "min_words", "order", "buckets"),
    "dsir_normalized": ("share", "min_words", "order", "buckets"),
    "education": ("share", "education"),
    "perplexity": ("share", "perplexity"),
    "density": ("share", "repetitions", "density_buckets"),
}
"""The settings that a method reads."""


@dataclass
class SelectStage:
    """A method and its settings; the seed only where it draws."""

    method: str
    selection: SelectionConfig
    seed: int = 0


def stage(
    text: Stage,
    name: str,
    method: str,
    selection: SelectionConfig,
    seed: int,
    scores: Stage | None = None,
    mixture: Stage | None = None,
) -> Stage:
    """A selection of the training text.

    Args:
        text: the corpus.
        name: of the stage.
        method: how it is chosen.
        selection: settings of the method.
        seed: of the run.
        scores: of all the synthetic text, for ``perplexity``.
        mixture: whose human documents are taken, for :data:`LEARNED`.
    """
    own = SelectionConfig(**{f: getattr(selection, f) for f in _FIELDS[method]})
    draws = method in ("random", "dsir", "density")
    config = SelectStage(method, own, seed if draws else 0)
    given = {"text": text, "scores": scores, "mixture": mixture}
    inputs = {name: stage for name, stage in given.items() if stage is not None}
    return Stage("select", name, REV, run, config, inputs)


def run(context: StageContext) -> dict[str, Any]:
    """Writes ``train/`` with the chosen documents and ``selection.parquet`` with all weights."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from toedit.corpora.files import atomic_path
    from toedit.corpora.sources import local_documents

    config: SelectStage = context.stage.config
    every = list(local_documents([context.inputs["text"] / TRAIN]))
    human = config.method == LEARNED
    pool = [d for d in every if (d.metadata["kind"] != SYNTHETIC) == human]
    if not pool:
        raise UserError(f"the corpus holds no {'human' if human else 'synthetic'} training text")
    weights, order, extra = _ranked(config, context, every, pool)
    sizes = [len(d.text) for d in pool]
    if human:
        learned = _in_mixture(context.inputs["mixture"])
        chosen = {i for i, d in enumerate(pool) if d.id in learned}
    else:
        chosen = _first_share(order, sizes, config)
    digest = write_shards(context.folder / TRAIN, [pool[i] for i in sorted(chosen)])
    rows = [{"id": d.id, "weight": float(weights[i]), "chosen": i in chosen}
            for i, d in enumerate(pool)]  # fmt: skip
    with atomic_path(context.folder / SELECTION) as temporary:
        pq.write_table(pa.Table.from_pylist(rows), temporary)
    return {
        "documents": len(pool),
        "characters": sum(sizes),
        "chosen_documents": len(chosen),
        "chosen_characters": sum(sizes[i] for i in chosen),
        "mean_characters": sum(sizes) / len(pool),
        "chosen_mean_characters": sum(sizes[i] for i in chosen) / len(chosen),
        "sha256": digest,
        **extra,
    }


def _ranked(
    config: SelectStage, context: StageContext, every: list[Document], pool: list[Document]
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Weights, the documents in the order in which they are chosen, and what else was measured."""
    from toedit.stats import density, dsir

    chosen, texts = config.selection, [d.text for d in pool]
    human = [d for d in every if d.metadata["kind"] != SYNTHETIC]
    noise = dsir.gumbel(len(pool), [config.seed, list(_FIELDS).index(config.method)])
    if config.method in (ALL, LEARNED):
        return np.zeros(len(pool)), np.arange(len(pool)), {}
    if config.method == "random":
        return noise, np.argsort(-noise), {}
    if config.method.startswith("dsir"):
        model = dsir.ImportanceModel.fit(
            (d.text for d in human), texts, chosen.order, chosen.buckets
        )
        weigh = model.weight if config.method == "dsir" else model.mean_weight
        weights, words = map(np.array, zip(*map(weigh, texts), strict=True))
        # Weights by n-gram lie within a few hundredths: noise of scale 1 would drown them.
        drawn = noise if config.method == "dsir" else None
        order = dsir.choose(weights, words, len(pool), drawn, chosen.min_words)
        return weights, order, {"too_short": len(pool) - len(order)}
    if config.method == "density":
        sketch = density.Density(chosen.repetitions, chosen.density_buckets, config.seed)
        sketch.add(texts)
        responses = np.array([sketch.response(text) for text in texts])
        # Inverse to the density: the Gumbel trick on its negative logarithm.
        order = np.argsort(-(noise - np.log(responses)), kind="stable")
        return responses, order, {"response_quartiles": _quartiles(responses)}
    if config.method == "education":
        return _by_education(config, context, human, texts)
    return _by_perplexity(config, context, pool)


def _by_education(
    config: SelectStage, context: StageContext, human: list[Document], texts: list[str]
) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    from experiments.stages.education import classifier, substitute
    from toedit.corpora.sources import local_documents

    if config.selection.education is not None:
        found = classifier(config.selection.education, texts)
        return found, np.argsort(-found, kind="stable"), {"score_quartiles": _quartiles(found)}
    trained_on = {d.metadata["domain"] for d in human}
    held_out = [
        d
        for d in local_documents([context.inputs["text"] / HELD_OUT])
        if d.metadata["domain"] in trained_on and d.metadata["kind"] != SYNTHETIC
    ]
    found, area = substitute(human, held_out, texts)
    return found, np.argsort(-found, kind="stable"), {"substitute_heldout_auc": area}


def _by_perplexity(
    config: SelectStage, context: StageContext, pool: list[Document]
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
    found = np.array([known.get(d.id, np.nan) for d in pool])
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
    import pyarrow.parquet as pq

    from toedit.corpora.files import damaged_as

    path = folder / MANIFEST
    with damaged_as(path):
        return set(pq.read_table(path, columns=["id"])["id"].to_pylist())


def _first_share(order: np.ndarray, sizes: list[int], config: SelectStage) -> set[int]:
    """The first documents of an order that hold the share of the characters."""
    if config.method == ALL:
        return set(range(len(sizes)))
    wanted, taken = config.selection.share * sum(sizes), 0
    chosen: set[int] = set()
    for i in order:
        if taken >= wanted:
            break
        chosen.add(int(i))
        taken += sizes[i]
    if not chosen:
        raise UserError(
            f"selection by {config.method} leaves no document; lower selection.min_words"
        )
    return chosen
