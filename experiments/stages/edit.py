"""Apply an editing rule to stored scores; no forward pass is needed."""

from dataclasses import dataclass
from typing import Any

from experiments.config import EngineConfig, ScoreConfig
from experiments.stage import Stage, StageConfig, StageContext
from experiments.stages.corpus import inputs_of
from experiments.stages.score import prior_of
from experiments.stages.units import run_units
from toedit.corpora import SHARDS
from toedit.corpora.units import WORK_SCRATCH, manifest_path
from toedit.editor import candidates_for
from toedit.errors import UserError
from toedit.priors.base import CandidateRange
from toedit.rules import EditRule
from toedit.sampling import make_sampler
from toedit.stats.edits import EditStats


@dataclass
class EditStage(StageConfig, kind="edit", scratch=WORK_SCRATCH):
    """A rule, its randomness, and the control that replaces its edits."""

    rule: EditRule
    seed: int = 0
    generation: int = 0
    control: str | None = None

    def run(self, context: StageContext) -> dict[str, Any]:
        """Write a shard of edited documents per unit; return :meth:`EditStats.summary`."""
        from toedit import pipeline

        scores = context.inputs["scores"]
        prior = prior_of(context.stage.inputs["scores"].config.prior, context.inputs.get("model"))
        attach = pipeline.AttachScores(str(scores / SHARDS))
        edit = pipeline.EditStep(prior, self.rule, self.seed, self.generation, control=self.control)
        write = pipeline.WriteDocuments(str(context.folder), generation=self.generation)
        run_units(context, manifest_path(scores), f"edit {context.stage.name}", attach, edit, write)
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
    """The scored text, edited by a rule.

    Args:
        generation: number of earlier edits of the text; each has its own randomness.
        control: replaces the edits of the rule, see :mod:`toedit.controls`; it needs candidates at
            every token.
        arm: the name without the seed; None for the name.

    Raises:
        UserError: the scores lack candidates that are needed, or the control is unknown.
    """
    make_sampler(rule)  # a sampler of one's own that cannot be made is refused here
    stored: ScoreConfig = scores.config.score
    needed = candidates_for(rule, control)
    if not CandidateRange(stored.k, stored.above, stored.below).covers(needed):
        required = {"k": max(needed.k, stored.k), "above": needed.above, "below": needed.below}
        settings = " ".join(
            f"score.{key}={value}" for key, value in required.items() if value is not None
        )
        what = "the rule" if control is None else f"the {control} control of the rule"
        raise UserError(
            f"{what} ({rule.describe()}) needs candidates that the scoring pass does not "
            f"keep: set {settings}"
        )
    # Without a draw there is no randomness, so the no-edit control is one stage for every seed.
    draws = rule.sampler != "none" or control is not None
    config = EditStage(rule, seed if draws else 0, generation, control)
    inputs = inputs_of(scores=scores, model=scores.inputs.get("model"))
    return Stage(
        config, name, inputs, runtime=engine, arm=arm or name, seed=seed if draws else None
    )
