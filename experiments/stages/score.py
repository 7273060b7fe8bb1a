"""One forward pass of the prior over the training text; everything about probabilities reads it."""

import logging
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from experiments.config import Config, EngineConfig, ScoreConfig
from experiments.stage import Stage, StageConfig, StageContext
from experiments.stages.corpus import text_folder
from toedit.corpora.units import WORK_SCRATCH, corpus_files, make_units, manifest_path, write_units
from toedit.errors import UserError
from toedit.priors import PriorConfig
from toedit.priors.base import CandidateRange
from toedit.priors.loading import embedded_revision

log = logging.getLogger(__name__)


@dataclass
class ScoreStage(StageConfig, kind="score", scratch=WORK_SCRATCH):
    """A prior, the alternatives kept, and the revision of the embedded model."""

    prior: PriorConfig
    score: ScoreConfig
    embedded: str | None = None

    def run(self, context: StageContext) -> dict[str, Any]:
        """Writes a shard of scores a unit; returns tokens, perplexity and document perplexities."""
        from toedit import pipeline
        from toedit.corpora.scores import read_scores

        engine: EngineConfig = context.stage.runtime
        manifest = manifest_path(context.folder)
        source = text_folder(context.stage.inputs["corpus"], context.inputs["corpus"])
        if not manifest.exists():
            write_units(
                manifest,
                make_units(corpus_files([source]), engine.rows_per_unit),
            )
        units = pipeline.read_units(manifest)
        candidates = CandidateRange(self.score.k, self.score.above, self.score.below)
        folder = context.folder / pipeline.SHARDS
        steps = [
            pipeline.ReadUnit(str(manifest)),
            pipeline.Score(
                prior_of(self.prior, context.inputs.get("model")),
                candidates,
                engine.worker_threads,
            ),
            pipeline.WriteScores(str(folder), self.score.k),
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
"""Stands for the model of a prior that a stage trains; no folder has such a name."""


def stage(
    corpus: Stage,
    prior: PriorConfig,
    score: ScoreConfig,
    engine: EngineConfig,
    trained: Stage | None = None,
    name: str | None = None,
) -> Stage:
    """Scores of a corpus.

    Args:
        corpus: the text.
        prior: what scores it.
        score: what is kept.
        engine: where it runs.
        trained: training whose model is the prior, in place of ``prior.model``.
        name: of the stage; None for the corpus's.
    """
    if trained is not None:
        prior = replace(prior, model=TRAINED, parameters=trained.config.model.parameters)
    revision = embedded_revision(prior.model) if prior.kind == "hf" else None
    config = ScoreStage(prior, score, revision)
    inputs = {"corpus": corpus} if trained is None else {"corpus": corpus, "model": trained}
    return Stage(config, name or corpus.name, inputs, runtime=engine)


def transformers_prior(config: Config) -> PriorConfig:
    """The prior of an experiment that puts models of its own in its place.

    Raises:
        UserError: it is not one of transformers.
    """
    if config.prior.kind != "hf":
        raise UserError(f"plan={config.plan} needs prior.kind=hf, not {config.prior.kind}")
    return config.prior


def prior_of(prior: PriorConfig, model: Path | None) -> PriorConfig:
    """A prior with the model that a training stage left in a folder, where there is one."""
    from experiments.training.model import MODEL

    return prior if model is None else replace(prior, model=str(model / MODEL))
