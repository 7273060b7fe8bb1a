"""What a rehearsal puts in the place of models, data sets and benchmarks, and says so."""

import re
from dataclasses import dataclass, field, replace

from evals.suites import SUITES, suite
from experiments.config import Config, CorpusConfig, EvalConfig, ModelConfig
from experiments.config.corpora import TextSource
from experiments.config.pretraining import MixtureConfig
from experiments.rehearsal.items import write_adaptllm_items
from experiments.rehearsal.rule import shrunk_eval
from experiments.rehearsal.stand_in_models import (
    CLASSIFIER,
    ENCODER,
    MODEL,
    TOKENIZER,
    VOCABULARY,
    StandIn,
    stand_in,
)
from experiments.rehearsal.texts import data_set, head
from experiments.training.model import parameters
from toedit.corpora.remote import LIST, is_remote
from toedit.embedded import once
from toedit.errors import UserError
from toedit.priors import PriorConfig
from toedit.priors.loading import load_tokenizer

HUB = re.compile(r"hf://datasets/(?P<name>[^/@]+/[^/@]+)(@[^/]+)?/(?P<path>.+)")
TRAINED = ("train_on_edits", "sft_generations")
"""Plans that read a corpus and continue a model."""

EDITED = (*TRAINED, "pretrain_toedit", "statistics")
"""Plans that read the prior's model."""


def accelerators() -> int:
    """GPUs of this machine."""
    import torch

    return torch.cuda.device_count()


def is_offline() -> bool:
    """Whether the hub must not be asked; if it may, it has to answer.

    Raises:
        UserError: it may, and does not.
    """
    from huggingface_hub import constants, get_session

    if constants.HF_HUB_OFFLINE:
        return True
    try:
        get_session().head(constants.ENDPOINT, timeout=10)
    except Exception as error:
        raise UserError(
            f"rehearse=true reads configurations, tokenizers and some text from the hub, and "
            f"{constants.ENDPOINT} cannot be reached ({' '.join(str(error).split())[:80]}); set "
            "HF_HUB_OFFLINE=1 to rehearse on stand-ins"
        ) from error
    return False


@dataclass
class Exchange:
    """What was exchanged so far, a line each.

    Attributes:
        offline: nothing is read from the hub.
        said: the lines.
    """

    offline: bool = field(default_factory=is_offline)
    said: list[str] = field(default_factory=list)

    def exchanged(self, config: Config) -> Config:
        """The configuration with stand-ins for what its plan reads."""
        plan, statistics = config.plan, config.statistics
        if plan in TRAINED:
            config = replace(config, corpus=self.corpus(config.corpus, "corpus.hub"))
            if config.mix.share:
                own = self.corpus(config.mix.corpus, "mix.corpus.hub")
                config = replace(config, mix=replace(config.mix, corpus=own))
        if plan == "sft_generations":
            own = self.corpus(config.generations.measured, "generations.measured.hub")
            config = replace(config, generations=replace(config.generations, measured=own))
        config = replace(config, mixture=self.mixture(config.mixture))
        if plan in EDITED:
            config = replace(config, prior=self.prior(config.prior))
        if plan in TRAINED:
            config = replace(config, model=self.model(config.model))
        if plan == "statistics":
            encoder = self._stand_in(statistics.encoder, statistics.encoder_revision, ENCODER)
            priors = [self.prior(prior) for prior in statistics.priors]
            statistics = replace(
                statistics, priors=priors, encoder=str(encoder.folder), encoder_revision=None
            )
        if plan == "selection" and config.selection.education is not None:
            judge = self._stand_in(config.selection.education, None, CLASSIFIER)
            selection = replace(config.selection, education=str(judge.folder))
            config = replace(config, selection=selection)
        config = replace(config, statistics=statistics)
        if plan != "statistics" or statistics.train_prior:
            model = self.scratch(config.model, config.mixture.tokenizer)
            config = replace(config, eval=self.evaluation(config.eval), model=model)
        return config

    def _stand_in(self, name: str, revision: str | None, role: str) -> StandIn:
        found = stand_in(name, revision, role, self.offline)
        line = f"{name} -> {found.words}"
        if line not in self.said:
            self.said.append(line)
        return found

    def prior(self, prior: PriorConfig) -> PriorConfig:
        """A tiny prior of the same family; an exact one stays."""
        if prior.kind not in ("hf", "vllm"):
            return prior
        found = self._stand_in(prior.model, prior.revision, MODEL)
        more = [self._stand_in(name, None, MODEL) for name in prior.ensemble]
        return replace(
            prior, model=str(found.folder), revision=None, parameters=found.parameters,
            ensemble=[str(other.folder) for other in more],
        )  # fmt: skip

    def model(self, model: ModelConfig) -> ModelConfig:
        """A tiny model of the same family, where one is continued."""
        if model.scratch is not None:
            return model
        found = self._stand_in(model.model, model.revision, MODEL)
        return replace(model, model=str(found.folder), revision=None, parameters=found.parameters)

    def scratch(self, model: ModelConfig, tokenizer: str | None) -> ModelConfig:
        """Rows of a model from random weights that fit the stand-in for its tokenizer."""
        shape = model.scratch
        if shape is None:
            return model
        if shape.vocabulary is not None and self.offline:
            shape = replace(shape, vocabulary=shape.vocabulary // VOCABULARY)
        rows = shape.vocabulary or (len(load_tokenizer(tokenizer)) if tokenizer else 0)
        return replace(model, scratch=shape, parameters=parameters(shape, rows))

    def corpus(self, corpus: CorpusConfig, what: str) -> CorpusConfig:
        """A text of the hub: a stand-in without the hub, and with it the text itself."""
        if corpus.source != "hub" or not self.offline:
            return corpus
        folder = data_set(str(corpus.hub), what)
        self.said.append(f"{corpus.hub} -> embedded text in its columns")
        return replace(corpus, hub=str(folder), revision=None)

    def mixture(self, mixed: MixtureConfig) -> MixtureConfig:
        """Files of a mixture and its tokenizer."""
        if mixed.tokenizer is not None and self.offline:
            found = self._stand_in(mixed.tokenizer, mixed.tokenizer_revision, TOKENIZER)
            mixed = replace(mixed, tokenizer=str(found.folder), tokenizer_revision=None)
        return replace(
            mixed, sources=[self.source(source) for source in mixed.sources],
            heldout=[self.source(source) for source in mixed.heldout],
        )  # fmt: skip

    def source(self, source: TextSource) -> TextSource:
        """Files elsewhere: stand-ins without the hub, and with it the head of one of them."""
        files = [self._file(address, source) for address in source.files]
        return replace(source, files=files, tokens=0.0)

    def _file(self, address: str, source: TextSource) -> str:
        listed = LIST if address.startswith(LIST) else ""
        place = address.removeprefix(LIST)
        if not is_remote(place):
            return address
        if not self.offline:
            path = head(address)
            self.said.append(f"{source.name}: {address} -> its first documents")
            return str(path)
        found = HUB.fullmatch(place)
        if found is None:
            raise UserError(f"rehearse=true cannot read {place!r} of source {source.name!r} "
                            "without a network")  # fmt: skip
        folder = data_set(found["name"], f"files of source {source.name!r}")
        self.said.append(f"{source.name}: {place} -> embedded text in its columns")
        return f"{listed}{folder / found['path']}"

    def evaluation(self, evaluation: EvalConfig) -> EvalConfig:
        """Items of the hub: embedded ones of the same kind, or stand-ins for those of AdaptLLM."""
        name = evaluation.suite
        kinds = {task.source for task in suite(name)} if name else set()
        if not self.offline or name is None or kinds == {"embedded"}:
            return evaluation
        if kinds == {"adaptllm"}:
            if evaluation.data is not None:
                return evaluation
            self.said.append(f"eval.suite={name} -> its tasks with items made up")
            folder = once("rehearsal-items-1", write_adaptllm_items)
            return replace(evaluation, data=str(folder))
        own = f"{name.removesuffix('_hub')}_embedded"
        if own not in SUITES:
            raise UserError(f"rehearse=true knows no embedded suite in place of eval.suite={name}")
        self.said.append(f"eval.suite={name} -> {own}")
        return shrunk_eval(replace(evaluation, suite=own, limits={}))
