"""Score the training text by one forward pass of the prior; later stages read these scores."""

import logging
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from experiments.config import Config, EngineConfig, ScoreConfig
from experiments.stage import Stage, StageConfig, StageContext
from experiments.stages.corpus import inputs_of
from experiments.stages.units import run_units, text_manifest
from experiments.training.model import MODEL
from toedit.corpora import SHARDS
from toedit.corpora.scores import read_all_scores
from toedit.corpora.units import WORK_SCRATCH
from toedit.errors import UserError
from toedit.priors import PriorConfig
from toedit.priors.base import CandidateRange
from toedit.priors.loading import embedded_revision

log = logging.getLogger(__name__)


@dataclass
class ScoreStage(StageConfig, kind="score", scratch=WORK_SCRATCH):
    """A prior, the candidates that are stored, and the revision of the embedded model."""

    prior: PriorConfig
    score: ScoreConfig
    embedded: str | None = None

    def run(self, context: StageContext) -> dict[str, Any]:
        """Write a shard of scores per unit; return tokens, perplexity and its quartiles over
        documents."""
        from toedit import pipeline

        engine: EngineConfig = context.stage.runtime
        folder = context.folder / SHARDS
        manifest = text_manifest(context, "corpus", engine.rows_per_unit)
        prior = prior_of(self.prior, context.inputs.get("model"))
        candidates = CandidateRange(self.score.k, self.score.above, self.score.below)
        score = pipeline.ScoreStep(prior, candidates, engine.worker_threads)
        write = pipeline.WriteScores(str(folder), self.score.k)
        run_units(context, manifest, "score", score, write)
        tokens = scored = documents = 0
        log_likelihood = 0.0
        perplexities, failed = [], []
        for identity, scores in read_all_scores(folder):
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
            raise UserError(
                f"no token of {documents} documents could be scored; {len(failed)} failed"
            )
        if failed:
            log.warning(
                "warning: %d documents failed and stay unedited: %s", len(failed), failed[:20]
            )
        return {
            "documents": documents,
            "failed": failed,
            "tokens": tokens,
            "scored": scored,
            "perplexity": math.exp(-log_likelihood / scored),
            "document_perplexity_quartiles": np.quantile(perplexities, [0.25, 0.5, 0.75]).tolist(),
        }


TRAINED = ":trained:"
"""Placeholder for the model of a prior that a stage trains; no folder has such a name."""


def stage(
    corpus: Stage,
    prior: PriorConfig,
    score: ScoreConfig,
    engine: EngineConfig,
    trained: Stage | None = None,
    name: str | None = None,
) -> Stage:
    """Scores of a corpus by a prior, whose model is that of ``trained`` unless it is None; the name
    is that of the corpus if it is None."""
    prior = with_trained_model(prior, trained)
    revision = embedded_revision(prior.model) if prior.kind == "hf" else None
    inputs = inputs_of(corpus=corpus, model=trained)
    config = ScoreStage(prior, score, revision)
    return Stage(config, name or corpus.name, inputs, runtime=engine)


def transformers_prior(config: Config) -> PriorConfig:
    """The prior of an experiment, for models that the experiment trains: it reads windows of a
    training block without overlap.

    Raises:
        UserError: the prior does not use transformers.
    """
    if config.prior.kind != "hf":
        raise UserError(f"plan={config.plan} needs prior.kind=hf, not {config.prior.kind}")
    return replace(config.prior, max_length=config.train.block_size, overlap=0)


def with_trained_model(prior: PriorConfig, trained: Stage | None) -> PriorConfig:
    """A prior with its model replaced by that of a training, if there is one."""
    if trained is None:
        return prior
    return replace(prior, model=TRAINED, parameters=trained.config.model.parameters)


def prior_of(prior: PriorConfig, model: Path | None) -> PriorConfig:
    """A prior for its use: at the commits of its models, or with that of the folder of a
    training."""
    return prior.pinned() if model is None else replace(prior, model=str(model / MODEL))
