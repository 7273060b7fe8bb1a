"""Human text beside synthetic, selected and edited text of the same size: what tells them apart.

corpus ─┬─ sample human ─────┬─ score (prior) ─┬─ perplexity
        │                    │                 └─ edit (rule): a corpus like the others
        │                    └─ ngrams, density, embed
        ├─ sample synthetic ─── the same
        ├─ select (method) ── sample ── the same
        ├─ sample reference ─── ngrams, embed
        └─ tokenizer ── tokens ── mixture ── train: a prior that learned human text alone
embed of all corpora ── map

The reference is more human text, no document of which is in the sample: what two samples of one
kind differ by is what the others are measured against.
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
    """A prior under a name, and the training it comes from where it is one of ours."""

    name: str
    prior: PriorConfig
    trained: Stage | None = None


def plan(config: Config) -> list[Stage]:
    """Stages for every corpus and part, as far as :attr:`StatisticsConfig.parts` needs them."""
    chosen = config.statistics
    scored = "perplexity" in chosen.parts
    stages, scorers = _text_and_scorers(config, scored)
    corpora = _corpora(config, stages)
    scores: dict[tuple[str, str], Stage] = {}

    def add_scores(name: str, scorer: Scorer, kept: ScoreConfig) -> Stage:
        own = scorer.prior
        found = score.stage(
            corpora[name], own, kept, config.engine, scorer.trained, f"{name}-{scorer.name}"
        )  # fmt: skip
        stages.append(found)
        scores[name, scorer.name] = found
        return found

    if scored or EDITED in chosen.corpora:
        # The pass that perplexities are read from is the one that is edited from.
        source = add_scores(HUMAN, scorers[0], config.score)
    if EDITED in chosen.corpora:
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
            stages += [perplexity.stage(scores[name, own.name], name) for own in scorers]
        if "ngrams" in chosen.parts:
            stages.append(ngrams.stage(text, name, chosen, name))
        if "density" in chosen.parts and name in measured:
            stages.append(density.stage(text, name, chosen, name))
        if "map" in chosen.parts:
            stages.append(embed.stage(text, name, chosen, name))
    embedded = {stage.name: stage for stage in stages if stage.kind == "embed"}
    if embedded:
        stages.append(embedding_map.stage(embedded, REFERENCE, chosen, config.seed))
    return stages


def _text_and_scorers(config: Config, scored: bool) -> tuple[list[Stage], list[Scorer]]:
    """The stages that yield text, training ours among them, and the priors of the experiment."""
    priors = [config.prior, *config.statistics.priors] if scored else [config.prior]
    scorers = [Scorer(prior_name(prior), prior) for prior in priors]
    if not (scored and config.statistics.train_prior):
        return texts_of(config), _distinct(scorers)
    arms, name = Arms(config), arm_name(0.0)
    trained = arms.add(name, arms.texts, 0.0, config.seed, config.mixture.epochs, evaluated=False)
    own = replace(score.transformers_prior(config), max_length=config.train.block_size, overlap=0)
    assert config.model.scratch is not None  # Arms refuses other models
    learned = Scorer(f"{config.model.scratch.family}-{HUMAN}", own, trained)
    return arms.stages, _distinct([*scorers, learned])


def prior_name(prior: PriorConfig) -> str:
    """What a prior is called in names of stages and in tables."""
    if is_plugin(prior.kind) or prior.kind == "table":
        return prior.kind.rpartition(":")[2]
    return "SmolLM2" if prior.model == EMBEDDED else Path(prior.model).name


def _distinct(scorers: list[Scorer]) -> list[Scorer]:
    names = [scorer.name for scorer in scorers]
    if len(set(names)) < len(names):
        raise UserError(f"statistics.priors must have different names, not {', '.join(names)}")
    return scorers


def _corpora(config: Config, stages: list[Stage]) -> dict[str, Stage]:
    """Samples of all but the edited text, by name; their stages are added to the others."""
    chosen, mixed = config.statistics, config.mixture
    texts = [stage for stage in stages if stage.kind == "corpus" and stage.name != "heldout"]
    size = SampleStage("", chosen.words, document_words=chosen.document_words)
    human = replace(size, kind=HUMAN, domains=[] if mixed.sources else sorted(mixed.domains))
    reference = replace(human, words=chosen.reference_words or chosen.words)
    # Sources have no held-out part: two samples without a common document.
    samples = {
        HUMAN: replace(human, held_out=not mixed.sources),
        REFERENCE: replace(reference, skip=chosen.words if mixed.sources else 0),
    }
    if SYNTHETIC in chosen.corpora:
        samples[SYNTHETIC] = replace(size, kind=SYNTHETIC)
    corpora = {}
    for name, own in samples.items():
        holding = [text for text in texts if _kind(text) in (None, own.kind)]
        corpora[name] = sample.stage(holding, name, own)
        stages.append(corpora[name])
    for name in chosen.corpora:
        if name not in (SYNTHETIC, EDITED):
            selected = select.stage(texts, name, name, config.selection, config.seed)
            corpora[name] = sample.stage([selected], name, size)
            stages += [selected, corpora[name]]
    return corpora


def _kind(text: Stage) -> str | None:
    """The one kind of text that a stage holds; None where it holds both."""
    return text.config.source.kind if isinstance(text.config, SourceStage) else None
