"""A rule applied to stored scores: seconds, and no forward pass."""

from dataclasses import dataclass
from typing import Any

from experiments.config import EngineConfig, ScoreConfig
from experiments.stage import Stage, StageConfig, StageContext
from experiments.stages.score import prior_of
from toedit.corpora.units import WORK_SCRATCH, manifest_path
from toedit.editor import candidates_for
from toedit.errors import UserError
from toedit.priors.base import CandidateRange
from toedit.rules import EditRule
from toedit.stats.edits import EditStats


@dataclass
class EditStage(StageConfig, kind="edit", scratch=WORK_SCRATCH):
    """A rule, the randomness it is applied with, and what is done in place of its edits."""

    rule: EditRule
    seed: int = 0
    generation: int = 0
    control: str | None = None

    def run(self, context: StageContext) -> dict[str, Any]:
        """Writes a shard of edited documents a unit; returns :meth:`EditStats.summary`."""
        from toedit import pipeline

        engine: EngineConfig = context.stage.runtime
        scores = context.inputs["scores"]
        prior = prior_of(context.stage.inputs["scores"].config.prior, context.inputs.get("model"))
        manifest = manifest_path(scores)
        steps = [
            pipeline.ReadUnit(str(manifest)),
            pipeline.AttachScores(str(scores / pipeline.SHARDS)),
            pipeline.Edit(prior, self.rule, self.seed, self.generation, control=self.control),
            pipeline.WriteDocuments(str(context.folder)),
        ]
        units = pipeline.read_units(manifest)
        pipeline.run_steps(steps, units, context.folder, f"edit {context.stage.name}", engine)
        return pipeline.read_statistics(context.folder, EditStats).summary()


def stage(
    scores: Stage,
    name: str,
    rule: EditRule,
    seed: int,
    engine: EngineConfig,
    generation: int = 0,
    control: str | None = None,
    arm: str | None = None,
) -> Stage:
    """The scored text edited by a rule.

    Args:
        scores: of the text.
        name: of the stage.
        rule: the editing rule.
        seed: of the run.
        engine: where it runs.
        generation: tells repeated edits apart.
        control: what is done in place of the rule's edits, of :mod:`toedit.controls`; it needs
            candidates at every token (``score.below=1``).
        arm: which edit it is, whatever the seed; None for its name.

    Raises:
        UserError: the scores do not hold the candidates that are needed, or there is no such
            control.
    """
    kept: ScoreConfig = scores.config.score
    need = candidates_for(rule, control)
    if not CandidateRange(kept.k, kept.above, kept.below).covers(need):
        wanted = {"k": max(need.k, kept.k), "above": need.above, "below": need.below}
        settings = " ".join(
            f"score.{key}={value}" for key, value in wanted.items() if value is not None
        )
        what = "the rule" if control is None else f"the {control} control of the rule"
        raise UserError(
            f"{what} ({rule.describe()}) needs candidates that the scoring pass does not "
            f"keep: set {settings}"
        )
    # Without a draw there is no randomness, so the no-edit control is one stage for every seed.
    draws = rule.sampler != "none" or control is not None
    config = EditStage(rule, seed if draws else 0, generation, control)
    inputs = {"scores": scores} | {k: v for k, v in scores.inputs.items() if k == "model"}
    return Stage(
        config, name, inputs, runtime=engine, arm=arm or name, seed=seed if draws else None
    )
