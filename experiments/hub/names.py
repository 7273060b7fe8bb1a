"""List the data sets, models and addresses that an experiment loads by name.

They are found in the stages of its plan, so only what is read counts. What is known of each name
(licence, gated, how it was checked) is in ``conf/names.yaml``.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from evals.suites import suite
from experiments import CONF
from experiments.config import Config, CorpusConfig, EvalConfig
from experiments.config.corpora import TextSource
from experiments.plans import plan
from experiments.stage import Stage, upstream
from toedit.corpora.prepare import is_hub_id
from toedit.corpora.remote import LIST, is_remote
from toedit.hub import split_revision
from toedit.priors import PriorConfig
from toedit.priors.loading import EMBEDDED
from toedit.redaction import without_credentials

DATASET, MODEL, URL = KINDS = ("dataset", "model", "url")

FIELDS = {
    "model": "model.model",
    "tokenizer": "mixture.tokenizer",
    "encoder": "statistics.encoder",
    "education": "selection.education",
}
"""Fields of a configuration by those of stages that name a model."""


@dataclass(frozen=True)
class Name:
    """A name that a configuration gives, and what is known of it.

    Attributes:
        kind: ``dataset`` or ``model`` of the hub, or ``url``.
        name: ``owner/name``, or an address.
        revision: the commit that is loaded; None for the newest.
        field: what names it, such as ``corpus.hub``.
        licence: None if it is not known.
        gated: whether its files open only after an agreement; None if it is not known.
        how: how that was checked; None for a name that ``conf/names.yaml`` does not list.
    """

    kind: str
    name: str
    revision: str | None
    field: str
    licence: str | None = None
    gated: bool | None = None
    how: str | None = None


def names_of(config: Config) -> list[Name]:
    """The names that an experiment loads, in the order of its stages, each once.

    Raises:
        UserError: the configuration has no plan.
    """
    return names_in(upstream(plan(config)))


def names_in(stages: Iterable[Stage]) -> list[Name]:
    """The names that stages load themselves, in their order, each once."""
    found: dict[tuple[str, str, str | None], Name] = {}
    for stage in stages:
        for part in (stage.config, stage.runtime):
            for name in _names_in(part):
                found.setdefault((name.kind, name.name, name.revision), name)
    return list(found.values())


def _names_in(value: Any) -> Iterator[Name]:
    """Names in a part of the settings of a stage."""
    if isinstance(value, list | tuple):
        for item in value:
            yield from _names_in(item)
    elif isinstance(value, CorpusConfig):
        yield from _corpus(value)
    elif isinstance(value, TextSource):
        for address in value.files:
            yield from of_address(address, f"files of {value.name}")
    elif isinstance(value, EvalConfig):
        yield from of_suite(value)
    elif dataclasses.is_dataclass(value) and getattr(value, "kind", "hf") in ("hf", "vllm"):
        unread = value.inapplicable() if hasattr(value, "inapplicable") else set()
        for spec in dataclasses.fields(value):
            inner = getattr(value, spec.name)
            if spec.metadata.get("identity") not in ("model", "models"):
                yield from _names_in(inner)
            elif spec.name not in unread:
                field = FIELDS.get(spec.name, spec.name)
                field = f"prior.{spec.name}" if isinstance(value, PriorConfig) else field
                revision = None if isinstance(inner, list) else getattr(value, "revision", None)
                for name in inner if isinstance(inner, list) else [inner]:
                    yield from _known(MODEL, name, revision, field) if _is_id(name) else ()


def _is_id(name: str | None) -> bool:
    """Whether a name is an id of the hub, which few have without an owner, and no local path."""
    if not name or name == EMBEDDED or name.startswith((".", "~")):
        return False
    return is_hub_id(name if "/" in name else f"owner/{name}") and not Path(name).exists()


def _corpus(corpus: CorpusConfig) -> Iterator[Name]:
    if corpus.source == "hub" and _is_id(corpus.hub):
        yield from _known(DATASET, str(corpus.hub), corpus.revision, "corpus.hub")
    if corpus.source == "local":
        for path in corpus.paths:
            yield from of_address(path, "corpus.paths")


def of_suite(evaluation: EvalConfig) -> Iterator[Name]:
    """Names of the data sets of the benchmarks of an evaluation."""
    for task in suite(evaluation.suite) if evaluation.suite else ():
        if task.dataset and not (task.source == "adaptllm" and evaluation.data is not None):
            address = task.dataset if is_remote(task.dataset) else f"hf://datasets/{task.dataset}"
            yield from of_address(address, f"eval.suite={evaluation.suite}")


def of_address(address: str, field: str) -> Iterator[Name]:
    """The data set of the hub in an address, or the address itself; nothing of a local path.

    The last part of a chain such as ``zip://PATH::hf://…`` counts.
    """
    address = without_credentials(address.removeprefix(LIST)).rpartition("::")[2]
    if address.startswith("hf://datasets/"):
        parts = address.removeprefix("hf://datasets/").split("/")
        name, _, revision = "/".join(parts[:2]).partition("@")
        yield from _known(DATASET, name, revision or None, field)
    elif is_remote(address):
        yield from _known(URL, address, None, field)


def _known(kind: str, name: str, revision: str | None, field: str) -> Iterator[Name]:
    """A name with what is known of it, and the address that its files lead to."""
    if kind != URL:
        name, revision = split_revision(name, revision)
    facts = dict(known().get((kind, name), {}))
    leads_to = facts.pop("leads_to", None)
    yield Name(kind, name, revision, field, **facts)
    if leads_to is not None:
        yield from of_address(leads_to, field)


@cache
def known() -> dict[tuple[str, str], dict[str, Any]]:
    """What ``conf/names.yaml`` says of each kind and name."""
    rows = map(dict, listed()["names"])
    return {(row.pop("kind"), row.pop("name")): row for row in rows}


@cache
def listed() -> dict[str, Any]:
    """The file: ``names``, and the day on which they were ``checked``."""
    content: dict[str, Any] = yaml.safe_load((CONF / "names.yaml").read_text(encoding="utf-8"))
    return content
