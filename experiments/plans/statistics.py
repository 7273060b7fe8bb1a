"""Compare human text with synthetic, selected and edited text of the same size.

corpus ─┬─ sample human ─────┬─ score (prior) ─┬─ perplexity
        │                    │                 └─ edit (rule): a corpus like the others
        │                    └─ ngrams, density, embed
        ├─ sample synthetic ─── the same stages
        ├─ select (method) ── sample ── the same stages
        ├─ sample reference ─── ngrams, embed
        └─ tokenizer ── tokens ── mixture ── train: a prior that learned human text alone
embed of all corpora ── map

The reference is more human text and shares no document with the human sample. The difference of
these two samples of one kind is the yardstick for the other corpora.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from experiments.config import Config, ScoreConfig
from experiments.plans.pretrain import Arms, texts_of
from experiments.plans.train_on_edits import rule_name
from experiments.stage import Stage
from experiments.stages import (
    density,
    edit,
    embed,
    embedding_map,
    ngrams,
    perplexity,
    sample,
    score,
    select,
)
from experiments.stages.domains import SYNTHETIC
from experiments.stages.mixture import arm_name
from experiments.stages.sample import SampleStage
from experiments.stages.sources import SourceStage
from toedit.errors import UserError
from toedit.plugins import is_plugin
from toedit.priors import PriorConfig
from toedit.priors.loading import EMBEDDED
from toedit.rules import preset

HUMAN, REFERENCE, EDITED = "human", "reference", "edited"


@dataclass(frozen=True)
class Scorer:
    """A prior with a name, and the training of its model if the experiment trains it."""

    name: str
    prior: PriorConfig
    trained: Stage | None = None


def plan(config: Config) -> list[Stage]:
    """Stages for every corpus that the ``parts`` of :class:`StatisticsConfig` need."""
    settings = config.statistics
    scored = "perplexity" in settings.parts
    stages, scorers = _text_and_scorers(config, scored)
    corpora = _corpora(config, stages)
    scores: dict[tuple[str, str], Stage] = {}

    def add_scores(name: str, scorer: Scorer, candidates: ScoreConfig) -> Stage:
        label = f"{name}-{scorer.name}"
        added = score.stage(
            corpora[name], scorer.prior, candidates, config.engine, scorer.trained, label
        )
        stages.append(added)
        scores[name, scorer.name] = added
        return added

    if scored or EDITED in settings.corpora:
        # The pass that perplexities are read from is the one that is edited from.
        source = add_scores(HUMAN, scorers[0], config.score)
    if EDITED in settings.corpora:
        rules = {EDITED: config.edit} | {
            name: preset(name) for name in config.presets if name != rule_name(config)
        }
        for name, rule in rules.items():
            corpora[name] = edit.stage(source, name, rule, config.seed, config.engine)
            stages.append(corpora[name])
    measured = [name for name in corpora if name != REFERENCE]
    if scored:
        for name in measured:
            for scorer in scorers:
                if (name, scorer.name) not in scores:
                    add_scores(name, scorer, ScoreConfig(k=1, above=None))
    for name, text in corpora.items():
        if scored and name in measured:
            stages += [perplexity.stage(scores[name, scorer.name], name) for scorer in scorers]
        if "ngrams" in settings.parts:
            stages.append(ngrams.stage(text, name, settings, name))
        if "density" in settings.parts and name in measured:
            stages.append(density.stage(text, name, settings, name))
        if "map" in settings.parts:
            stages.append(embed.stage(text, name, settings, name))
    embedded = {stage.name: stage for stage in stages if stage.kind == "embed"}
    if embedded:
        stages.append(embedding_map.stage(embedded, REFERENCE, settings, config.seed))
    return stages


def _text_and_scorers(config: Config, scored: bool) -> tuple[list[Stage], list[Scorer]]:
    """Stages that write text or train a prior, and the priors of the experiment.

    Raises:
        UserError: two priors have the same name.
    """
    priors = [config.prior, *config.statistics.priors] if scored else [config.prior]
    scorers = [Scorer(prior_name(prior), prior) for prior in priors]
    if scored and config.statistics.train_prior:
        arms = Arms(config)
        trained = arms.add(arm_name(0.0), arms.texts, 0.0, config.seed, evaluated=False)
        assert config.model.scratch is not None  # Arms refuses other models
        name, stages = f"{config.model.scratch.family}-{HUMAN}", arms.stages
        scorers.append(Scorer(name, score.transformers_prior(config), trained))
    else:
        stages = texts_of(config)
    names = [scorer.name for scorer in scorers]
    if len(set(names)) < len(names):
        raise UserError(f"statistics.priors must have different names, not {', '.join(names)}")
    return stages, scorers


def prior_name(prior: PriorConfig) -> str:
    """Name of a prior in names of stages and in tables."""
    if is_plugin(prior.kind) or prior.kind == "table":
        return prior.kind.rpartition(":")[2]
    return "SmolLM2" if prior.model == EMBEDDED else Path(prior.model).name


def _corpora(config: Config, stages: list[Stage]) -> dict[str, Stage]:
    """Samples of all corpora but the edited ones, by name; their stages are added to ``stages``."""
    settings, mixed = config.statistics, config.mixture
    texts = [stage for stage in stages if stage.kind == "corpus" and stage.name != "heldout"]
    size = SampleStage("", settings.words, document_words=settings.document_words)
    human = replace(size, kind=HUMAN, domains=[] if mixed.sources else sorted(mixed.domains))
    reference = replace(human, words=settings.reference_words or settings.words)
    # Sources have no held-out part: two samples without a common document.
    samples = {
        HUMAN: replace(human, held_out=not mixed.sources),
        REFERENCE: replace(reference, skip=settings.words if mixed.sources else 0),
    }
    if SYNTHETIC in settings.corpora:
        samples[SYNTHETIC] = replace(size, kind=SYNTHETIC)
    corpora = {}
    for name, sampled in samples.items():
        holding = [text for text in texts if _kind(text) in (None, sampled.kind)]
        corpora[name] = sample.stage(holding, name, sampled)
        stages.append(corpora[name])
    for name in settings.corpora:
        if name not in (SYNTHETIC, EDITED):
            selected = select.stage(texts, name, name, config.selection, config.seed)
            corpora[name] = sample.stage([selected], name, size)
            stages += [selected, corpora[name]]
    return corpora


def _kind(text: Stage) -> str | None:
    """The kind of text of a stage; None if it has both kinds."""
    return text.config.source.kind if isinstance(text.config, SourceStage) else None
