"""One forward pass of the prior over the training text; everything about probabilities reads it."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.fingerprint import Cost, Stage, StageContext
from experiments.schema import EngineConfig, ScoreConfig
from experiments.stages.corpus import TRAIN
from toedit.corpora.units import WORK_SCRATCH
from toedit.errors import UserError
from toedit.models import embedded_revision
from toedit.priors import PriorConfig
from toedit.priors.base import CandidateRange

REV = 1
log = logging.getLogger(__name__)


@dataclass
class ScoreStage:
    """A prior, the alternatives kept, and the revision of the embedded model."""

    prior: PriorConfig
    score: ScoreConfig
    embedded: str | None = None


def stage(
    corpus: Stage, prior: PriorConfig, score: ScoreConfig, engine: EngineConfig, tokens: float
) -> Stage:
    """Scores of a corpus; ``tokens`` is an estimate of its size."""
    revision = embedded_revision(prior.model) if prior.kind == "hf" else None
    cost = Cost(tokens, 2.0 * prior.parameters * tokens)
    config = ScoreStage(prior, score, revision)
    return Stage(
        "score",
        corpus.name,
        REV,
        run,
        config,
        {"corpus": corpus},
        runtime=engine,
        cost=cost,
        scratch=WORK_SCRATCH,
    )


def run(context: StageContext) -> dict[str, Any]:
    """Writes a shard of scores a unit; returns tokens, perplexity and document perplexities."""
    from toedit import pipeline
    from toedit.corpora.scores import read_scores
    from toedit.corpora.units import corpus_files, make_units, manifest_path, write_units

    config: ScoreStage = context.stage.config
    engine: EngineConfig = context.stage.runtime
    manifest = manifest_path(context.folder)
    if not manifest.exists():
        write_units(
            manifest,
            make_units(corpus_files([context.inputs["corpus"] / TRAIN]), engine.rows_per_unit),
        )
    units = pipeline.read_units(manifest)
    candidates = CandidateRange(config.score.k, config.score.above, config.score.below)
    folder = context.folder / pipeline.SHARDS
    steps = [
        pipeline.ReadUnit(str(manifest)),
        pipeline.Score(
            config.prior,
            candidates,
            engine.worker_threads,
        ),
        pipeline.WriteScores(str(folder), config.score.k),
    ]
    pipeline.run_steps(steps, units, context.folder, "score", engine)
    tokens = scored = documents = 0
    log_likelihood = 0.0
    perplexities, failed = [], []
    for rank in range(len(units)):
        for identity, scores in read_scores(folder / pipeline.shard_name(rank)):
            documents += 1
            if scores is None:
                failed.append(identity)
                continue
            tokens += len(scores.tokens)
            scored += int(scores.scored.sum())
            log_likelihood += float(np.nansum(scores.logprobs.astype(np.float64)))
            if scores.scored.any():
                perplexities.append(scores.perplexity)
    if not scored:
        raise UserError(f"no token of {documents} documents could be scored; {len(failed)} failed")
    if failed:
        log.warning("warning: %d documents failed and stay unedited: %s", len(failed), failed[:20])
    return {
        "documents": documents,
        "failed": failed,
        "tokens": tokens,
        "scored": scored,
        "perplexity": math.exp(-log_likelihood / scored),
        "document_perplexity_quartiles": np.quantile(perplexities, [0.25, 0.5, 0.75]).tolist(),
    }
