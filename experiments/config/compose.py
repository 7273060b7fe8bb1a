"""Compose a configuration with Hydra and OmegaConf: schema in, plain dataclasses out."""

import dataclasses
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, get_args, get_type_hints

from experiments import CONF
from experiments.config import Config
from experiments.config.explain import explain_errors, unknown_field
from experiments.config.limits import LARGEST_PLAN
from experiments.provenance import PUBLISHED
from toedit.corpora.remote import is_remote
from toedit.errors import UserError
from toedit.redaction import without_credentials, without_secrets
from toedit.rules import PRESETS


def register() -> None:
    """Register the schema that every YAML file is checked against."""
    from hydra.core.config_store import ConfigStore
    from omegaconf import OmegaConf

    store = ConfigStore.instance()
    store.store(name="schema", node=_open(OmegaConf.structured(Config)))
    for name, rule in PRESETS.items():
        store.store(group="edit", name=name, node=_open(OmegaConf.structured(rule)))


def _open(node: Any) -> Any:
    """Let dictionaries take new keys without a plus (``launch.options={account: lab}``)."""
    from omegaconf import DictConfig, OmegaConf

    for key in node:
        child = node._get_node(key)
        if isinstance(child, DictConfig) and not child._is_none():
            if OmegaConf.get_type(child) is dict:
                OmegaConf.set_struct(child, False)
            else:
                _open(child)
    return node


def to_config(composed: Any) -> Config:
    """Convert a composed OmegaConf configuration to dataclasses."""
    from omegaconf import OmegaConf

    # ``+field=value`` may add fields that the schema lacks; Hydra would drop them silently.
    _refuse_unknown(OmegaConf.to_container(composed), Config())
    _refuse_published(composed)
    config = OmegaConf.to_object(composed)
    assert isinstance(config, Config)
    return config


def _refuse_unknown(values: Any, owner: Any, prefix: str = "") -> None:
    if not dataclasses.is_dataclass(owner) or not isinstance(values, dict):
        return
    types = get_type_hints(type(owner))
    for key, value in values.items():
        if key not in types:
            raise UserError(unknown_field(f"{prefix}{key}", ""))
        item = next(iter(get_args(types[key])), None)
        if item in (str, int, float) and isinstance(value, list):  # which OmegaConf lets pass
            for inner in value:
                if isinstance(inner, list | dict):
                    raise UserError(f"{prefix}{key}={value}: {inner} is no single value")
        _refuse_unknown(value, getattr(owner, key), f"{prefix}{key}.")


def _refuse_published(node: Any, prefix: str = "") -> None:
    """Refuse values of the environment in names and notes, and secrets wherever they are recorded.

    Raises:
        UserError: a field holds one.
    """
    from omegaconf import Container, OmegaConf
    from omegaconf.resolvers import oc

    used: list[str] = []

    def env(*arguments: Any) -> Any:
        used.append(arguments[0])
        return oc.env(*arguments)

    for key in node if OmegaConf.is_dict(node) else range(len(node)):
        field = f"{prefix}{key}"
        OmegaConf.register_new_resolver("oc.env", env, replace=True)
        try:
            value = None if OmegaConf.is_missing(node, key) else node[key]
        finally:
            OmegaConf.register_new_resolver("oc.env", oc.env, replace=True)
        if used and (key in PUBLISHED or field in PUBLISHED):
            raise UserError(
                f"{field} is published with the results, so it takes no value of the environment "
                f"(${used[0]}); write the text itself"
            )
        for variable in used:
            secret, recorded = os.environ.get(variable), str(value)
            if is_remote(recorded):  # what is left of an address names results, too
                recorded = without_credentials(recorded)
            if secret and secret in recorded and secret not in without_secrets(recorded, field):
                raise UserError(
                    f"{field} would write ${variable} into records; name it inside of an address "
                    "only, as user:password@ or ?token=, or let the library read it"
                )
        used.clear()
        if isinstance(value, Container) and not value._is_none():
            _refuse_published(value, f"{field}.")


def to_yaml(config: Config) -> str:
    """The whole resolved configuration as YAML."""
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(OmegaConf.structured(config))


def job_config(composed: Any) -> Config:
    """Convert the configuration of a job of a sweep, which holds that of Hydra too."""
    from omegaconf import open_dict

    with open_dict(composed):
        composed.pop("hydra")
    return to_config(composed)


@dataclass(frozen=True)
class SweepJob:
    """A job of a sweep of Hydra.

    Attributes:
        folder: its output folder.
        number: its index, from 0.
        overrides: all overrides of the job.
        alone: it runs in the process that started the sweep, and no other job at the same time.
        maximise: a sampler searches for large values of the objective.
        search: settings of the search whose trial it is (``hydra_plugins/optuna_search.py``).
        words: the command of this job alone, as ``python -m experiments.run`` takes it.
    """

    folder: Path
    number: int
    overrides: list[str]
    alone: bool
    maximise: bool
    search: dict[str, Any] | None = None
    words: list[str] = field(default_factory=list)


def sweep_job() -> SweepJob | None:
    """The job of a sweep that this process is about to run; None for a single run."""
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    hydra = HydraConfig.get()
    if OmegaConf.is_missing(hydra.job, "num"):
        return None
    sweeper: Any = hydra.sweeper
    as_typed: Any = OmegaConf.to_container(hydra)  # with interpolations, which Hydra would resolve
    folder = Path(as_typed["runtime"]["output_dir"])
    search = as_typed["sweeper"] if sweeper.get("study_name") else None
    task = as_typed["overrides"]["task"]
    sources: Any = hydra.runtime.config_sources
    folders = [s["path"] for s in sources if s["provider"] == "command-line"]
    named = any(word.startswith(("+sweep=", "++sweep=")) for word in task)
    return SweepJob(
        folder,
        int(folder.name) if search else hydra.job.num,
        task,
        hydra.launcher._target_.endswith(".BasicLauncher"),
        str(sweeper.get("direction", "")) == "maximize",
        search,
        [*(f"--config-dir={path}" for path in folders), *task, *["hydra.mode=RUN"] * named],
    )


def sweep_jobs(folder: Path) -> list[list[str]] | None:
    """The overrides of every job of a sweep over lists, from the file that Hydra writes into its
    folder; None for a sampler, which chooses them one after another."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import OmegaConf

    path = folder / "multirun.yaml"
    if not path.is_file():
        return None
    hydra = OmegaConf.load(path).hydra
    params = OmegaConf.select(hydra, "sweeper.params") or {}
    overrides: Any = OmegaConf.to_container(hydra.overrides.task)
    words = [*(f"{key}={value}" for key, value in params.items()), *overrides]
    (jobs,) = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(words), None)
    return jobs


def values_of(words: Iterable[str]) -> dict[str, Any]:
    """The values that a command line gives, by field, as a single run reads them.

    Several values of a sweep are a text, as they are typed.

    Raises:
        Exception: of Hydra or OmegaConf (:func:`explain_errors`): an override cannot be read.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import OmegaConf

    overrides = [word for word in words if "=" in word and not word.startswith("-")]
    return {
        override.key_or_group: override.get_value_string()
        if override.is_sweep_override()
        else OmegaConf.create({"value": override.value()}).value
        for override in OverridesParser.create().parse_overrides(overrides)
    }


def quoted(text: str) -> str:
    """A text as the value of an override; nothing in it is interpolated."""
    from hydra.core.override_parser.types import Quote, QuotedString

    return QuotedString(text.replace("${", "\\${"), Quote.single).with_quotes()


def compose(overrides: list[str]) -> Config:
    """Compose a configuration from overrides, such as ``["+exp=cpt_bio", "seed=1"]``.

    Raises:
        UserError: an experiment, a group, a field or a value is unknown.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    register()
    with explain_errors(), initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        return to_config(hydra_compose("config", overrides))


def options_first(words: list[str]) -> list[str]:
    """A command line with the options of Hydra before the overrides, where its parser needs them.

    Raises:
        UserError: an option is not known or lacks its value.
    """
    from hydra._internal.utils import get_args_parser

    def refuse(message: str) -> NoReturn:
        raise UserError(f"{message}; --hydra-help lists the options of Hydra, --help ours")

    parser = get_args_parser()
    parser.error = refuse  # type: ignore[method-assign]
    parsed, unknown = parser.parse_known_intermixed_args(words)
    if unknown:
        refuse(f"unknown option {unknown[0]!r}")
    rest, overrides = list(words), parsed.overrides
    for word in reversed(overrides):
        del rest[len(rest) - 1 - rest[::-1].index(word)]
    return [*rest, *overrides]


def require_sweep(words: list[str]) -> None:
    """Refuse a command line of more than :data:`LARGEST_PLAN` jobs.

    Raises:
        UserError: it is too large.
        Exception: of Hydra: an override cannot be read.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.core.override_parser.types import ChoiceSweep, RangeSweep

    jobs = 1.0
    overrides = [word for word in words if "=" in word and not word.startswith("-")]
    for override in OverridesParser.create().parse_overrides(overrides):
        sweep = override.value()
        if isinstance(sweep, RangeSweep):
            start, stop, step = (float(v or 0) for v in (sweep.start, sweep.stop, sweep.step))
            jobs *= max(1.0, abs(stop - start) / (abs(step) or math.inf))
        elif isinstance(sweep, ChoiceSweep):
            jobs *= len(sweep.list)
        if jobs > LARGEST_PLAN:
            raise UserError(
                f"{override.get_key_element()}: the sweep would have {jobs:,.0f} jobs; at most "
                f"{LARGEST_PLAN}"
            )
