"""Replace models, data sets and benchmarks of an experiment by stand-ins, and record each."""

import re
from dataclasses import dataclass, field, replace
from typing import Any

from huggingface_hub import constants, get_session

import experiments.rehearsal.stand_in_models as models
from evals.suites import SUITES, suite
from experiments.config import Config, CorpusConfig, EvalConfig, ModelConfig
from experiments.config.corpora import TextSource
from experiments.config.pretraining import MixtureConfig
from experiments.rehearsal.items import write_adaptllm_items
from experiments.rehearsal.rule import shrunk_eval
from experiments.rehearsal.texts import data_set, head
from experiments.training.model import parameters
from toedit.corpora.remote import LIST, is_remote
from toedit.embedded import once
from toedit.errors import UserError, short
from toedit.priors import PriorConfig
from toedit.priors.loading import load_tokenizer

HUB = re.compile(r"hf://datasets/(?P<name>[^/@]+/[^/@]+)(@[^/]+)?/(?P<path>.+)")
CONTINUED = ("train_on_edits", "sft_generations")
"""Plans that read a corpus and train a pretrained model further."""

EDITED = (*CONTINUED, "pretrain_toedit", "statistics")
"""Plans that read the prior's model."""


def is_offline() -> bool:
    """Whether ``HF_HUB_OFFLINE`` forbids the hub.

    Raises:
        UserError: it does not, and the hub does not answer.
    """
    if constants.HF_HUB_OFFLINE:
        return True
    try:
        get_session().head(constants.ENDPOINT, timeout=10)
    except Exception as error:
        raise UserError(
            f"rehearse=true reads configurations, tokenizers and some text from the hub, and "
            f"{constants.ENDPOINT} cannot be reached ({short(error, 80)}); set "
            "HF_HUB_OFFLINE=1 to rehearse on stand-ins"
        ) from error
    return False


@dataclass
class Exchange:
    """Replacements in one configuration.

    Attributes:
        offline: nothing is read from the hub.
        lines: a line per replacement so far.
    """

    offline: bool = field(default_factory=is_offline)
    lines: list[str] = field(default_factory=list)

    def exchanged(self, config: Config) -> Config:
        """The configuration with stand-ins for everything that its plan reads."""
        plan, model, changes = config.plan, config.model, dict[str, Any]()
        if plan in CONTINUED:
            changes["corpus"] = self.corpus(config.corpus, "corpus.hub")
            if config.mix.share:
                extra = self.corpus(config.mix.corpus, "mix.corpus.hub")
                changes["mix"] = replace(config.mix, corpus=extra)
        if plan == "sft_generations":
            measured = self.corpus(config.generations.measured, "generations.measured.hub")
            changes["generations"] = replace(config.generations, measured=measured)
        changes["mixture"] = self.mixture(config.mixture)
        if plan in EDITED:
            changes["prior"] = self.prior(config.prior)
        if plan in CONTINUED:
            model = self.model(model)
        if plan == "statistics":
            statistics = config.statistics
            revision = statistics.encoder_revision
            encoder = self._stand_in(statistics.encoder, revision, models.ENCODER)
            changes["statistics"] = replace(
                statistics,
                priors=[self.prior(prior) for prior in statistics.priors],
                encoder=str(encoder.folder),
                encoder_revision=None,
            )
        if plan == "selection" and config.selection.education is not None:
            classifier = self._stand_in(config.selection.education, None, models.CLASSIFIER)
            changes["selection"] = replace(config.selection, education=str(classifier.folder))
        if plan != "statistics" or config.statistics.train_prior:
            changes["eval"] = self.evaluation(config.eval)
            model = self.scratch(model, changes["mixture"].tokenizer)
        return replace(config, model=model, **changes)

    def _stand_in(self, name: str, revision: str | None, role: str) -> models.StandIn:
        tiny = models.stand_in(name, revision, role, self.offline)
        line = f"{name} -> {tiny.description}"
        if line not in self.lines:
            self.lines.append(line)
        return tiny

    def prior(self, prior: PriorConfig) -> PriorConfig:
        """A tiny prior of the same family; one without a model stays."""
        if prior.kind not in ("hf", "vllm"):
            return prior
        tiny = self._stand_in(prior.model, prior.revision, models.MODEL)
        ensemble = [str(self._stand_in(name, None, models.MODEL).folder) for name in prior.ensemble]
        return replace(
            prior, model=str(tiny.folder), revision=None, parameters=tiny.parameters,
            ensemble=ensemble,
        )  # fmt: skip

    def model(self, model: ModelConfig) -> ModelConfig:
        """A tiny model of the same family; one from random weights stays."""
        if model.scratch is not None:
            return model
        tiny = self._stand_in(model.model, model.revision, models.MODEL)
        return replace(model, model=str(tiny.folder), revision=None, parameters=tiny.parameters)

    def scratch(self, model: ModelConfig, tokenizer: str | None) -> ModelConfig:
        """Fit the vocabulary of a model from random weights to the stand-in of its tokenizer."""
        shape = model.scratch
        if shape is None:
            return model
        if shape.vocabulary is not None and self.offline:
            shape = replace(shape, vocabulary=shape.vocabulary // models.VOCABULARY)
        rows = shape.vocabulary or (len(load_tokenizer(tokenizer)) if tokenizer else 0)
        return replace(model, scratch=shape, parameters=parameters(shape, rows))

    def corpus(self, corpus: CorpusConfig, name: str) -> CorpusConfig:
        """Replace a corpus of the hub (named by a field) by a stand-in, if offline."""
        if corpus.source != "hub" or not self.offline:
            return corpus
        folder, files = data_set(str(corpus.hub), name), corpus.files
        self.lines.append(f"{corpus.hub} -> embedded text in its columns")
        if files is not None and (match := HUB.search(files)):  # a file in an archive
            files = f"{files[: match.start()]}{folder / match['path']}"
        return replace(corpus, hub=str(folder), revision=None, files=files)

    def mixture(self, mixture: MixtureConfig) -> MixtureConfig:
        """Replace the files and the tokenizer of a mixture."""
        if mixture.tokenizer is not None and self.offline:
            tiny = self._stand_in(mixture.tokenizer, mixture.tokenizer_revision, models.TOKENIZER)
            mixture = replace(mixture, tokenizer=str(tiny.folder), tokenizer_revision=None)
        return replace(
            mixture, sources=[self.source(source) for source in mixture.sources],
            heldout=[self.source(source) for source in mixture.heldout],
        )  # fmt: skip

    def source(self, source: TextSource) -> TextSource:
        """Replace remote files: by stand-ins if offline, else by the first documents of one."""
        files = [self._file(address, source) for address in source.files]
        return replace(source, files=files, tokens=0.0)

    def _file(self, address: str, source: TextSource) -> str:
        prefix = LIST if address.startswith(LIST) else ""
        url = address.removeprefix(LIST)
        if not is_remote(url):
            return address
        if not self.offline:
            path = head(address)
            self.lines.append(f"{source.name}: {address} -> its first documents")
            return str(path)
        match = HUB.fullmatch(url)
        if match is None:
            raise UserError(f"rehearse=true cannot read {url!r} of source {source.name!r} "
                            "without a network")  # fmt: skip
        folder = data_set(match["name"], f"files of source {source.name!r}")
        self.lines.append(f"{source.name}: {url} -> embedded text in its columns")
        return f"{prefix}{folder / match['path']}"

    def evaluation(self, evaluation: EvalConfig) -> EvalConfig:
        """Replace items of the hub: by an embedded suite, or by stand-ins for AdaptLLM."""
        name = evaluation.suite
        kinds = {task.source for task in suite(name)} if name else set()
        if not self.offline or name is None or kinds == {"embedded"}:
            return evaluation
        if kinds == {"adaptllm"}:
            if evaluation.data is not None:
                return evaluation
            self.lines.append(f"eval.suite={name} -> its tasks with items made up")
            folder = once("rehearsal-items-1", write_adaptllm_items)
            return replace(evaluation, data=str(folder))
        embedded = f"{name.removesuffix('_hub')}_embedded"
        if embedded not in SUITES:
            raise UserError(f"rehearse=true knows no embedded suite in place of eval.suite={name}")
        self.lines.append(f"eval.suite={name} -> {embedded}")
        return shrunk_eval(replace(evaluation, suite=embedded, limits={}))
