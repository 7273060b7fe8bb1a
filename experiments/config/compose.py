"""Compose a configuration with Hydra and OmegaConf: schema in, plain dataclasses out."""

import dataclasses
import math
import os
import re
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from yaml import MarkedYAMLError

from experiments import CONF
from experiments.config import Config
from experiments.config.limits import LARGEST_PLAN
from experiments.provenance import PUBLISHED
from toedit.errors import UserError, short, suggest
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
    names = [spec.name for spec in dataclasses.fields(owner)]
    for key, value in values.items():
        if key not in names:
            raise UserError(_unknown_field(f"{prefix}{key}", ""))
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
            secret, recorded = os.environ.get(variable), without_credentials(str(value))
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
    """

    folder: Path
    number: int
    overrides: list[str]
    alone: bool
    maximise: bool
    search: dict[str, Any] | None = None


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
    return SweepJob(
        folder,
        int(folder.name) if search else hydra.job.num,
        as_typed["overrides"]["task"],
        hydra.launcher._target_.endswith(".BasicLauncher"),
        str(sweeper.get("direction", "")) == "maximize",
        search,
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


@contextmanager
def explain_errors() -> Iterator[None]:
    """Turn errors of composition into a :class:`UserError` of one line."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        line = explain(error)
        if line is None:
            raise
        raise UserError(line) from error


def explain(error: BaseException) -> str | None:
    """One line with field, value and allowed values for an error of composition, else None."""
    causes: list[BaseException] = []
    while error is not None and error not in causes:
        causes.append(error)
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    for cause in causes:
        if isinstance(cause, UserError):
            return str(cause)
        if isinstance(cause, MarkedYAMLError) and (mark := cause.problem_mark):
            return f"{mark.name!r} line {mark.line + 1} cannot be read: {cause.problem}"
        if isinstance(cause, ValueError) and "integer string conversion" in str(cause):
            return "the configuration holds a number of thousands of digits"
        if isinstance(cause, RecursionError):
            return "the configuration is nested too deeply"
        if type(cause).__name__ == "OverrideParseException":
            return (
                f"cannot read the argument {cause.override!r}; write FIELD=VALUE, with quotes "  # type: ignore[attr-defined]
                "around special characters, and +exp=NAME for an experiment"
            )
    texts = [
        " ".join(str(cause).split())
        for cause in causes
        if type(cause).__module__.partition(".")[0] in ("hydra", "omegaconf")
    ]
    lines = [line for line in map(_explain_text, texts) if line]
    # The innermost message is the clearest if no message has a known form.
    line = next(iter(lines or texts[-1:]), None)
    if line is None and any(map(_comes_from_hydra, causes)):
        line = f"the configuration cannot be composed: {type(causes[0]).__name__}: {causes[0]}"
    return None if line is None else short(line, 1000)


def _comes_from_hydra(error: BaseException) -> bool:
    """Whether a library of configurations raised an error."""
    frames = list(traceback.walk_tb(error.__traceback__))
    module = frames[-1][0].f_globals.get("__name__", "") if frames else ""
    return module.partition(".")[0] in ("hydra", "omegaconf", "yaml", "antlr4")


def _explain_text(text: str) -> str | None:
    if missing := re.search(r"Could not (?:find|load) '([^']+)'", text):
        group, _, name = missing.group(1).rpartition("/")
        return _unknown_choice(group, name)
    override = re.search(r"Could not override '([^']+)'", text)
    if override and override.group(1) == "exp":
        return (
            "write +exp=NAME, with the plus: experiments are no part of the default configuration"
        )
    if override:
        return _unknown_field(override.group(1), text)
    key = re.search(r"full_key: (\S+)", text)
    if key and re.search(r"Key '[^']+' (not in|is not in struct)", text):
        return _unknown_field(key.group(1), text)
    if key:
        return f"{key.group(1)}: {text.split(' full_key:')[0]}"
    return None


EXTRAS = {"joblib": "sweep", "ray": "ray"}
"""Extra of the package that installs each launcher of Hydra."""

GROUPS = {
    "hydra/sweeper": ["basic", "optuna"],
    "hydra/sweeper/sampler": ["tpe", "random", "gp", "nsgaii", "grid"],
    "hydra/sweeper/pruner": ["none", "median", "hyperband"],
}
"""Choices of the other groups of Hydra that this project has."""


def _unknown_choice(group: str, name: str) -> str:
    parts = group.split("/")
    if group == "hydra/launcher" and name in EXTRAS:
        extra = f"pip install -e '.[{EXTRAS[name]}]'"
        return f"{group}={name} is not installed here; in the clone: {extra}"
    if name == "cmaes":
        return f"{group}=cmaes would read pickles of its study; take tpe or gp"
    if parts[0] == "hydra":
        choices = GROUPS.get(group, ["basic", "slurm", *EXTRAS])
        return f"{group} knows no {name!r}; {suggest(name, choices)}"
    folder = CONF / parts[0]
    if not folder.is_dir():
        groups = [path.name for path in CONF.iterdir() if path.is_dir()]
        return f"unknown group {group!r}; {suggest(parts[0], groups)}"
    full = "/".join([*parts[1:], name])
    choices = [str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.yaml")]
    choices += PRESETS if parts[0] == "edit" else []
    what = "experiment" if parts[0] == "exp" else f"choice for {parts[0]}"
    return f"unknown {what} {full!r}; {suggest(full, choices)}"


def _unknown_field(key: str, text: str) -> str:
    if key.startswith("hydra."):
        return f"unknown field {key!r} of Hydra; +{key}=VALUE adds an option that a plugin takes"
    owner: Any = Config()
    path: list[str] = []
    for part in key.split("."):
        if not dataclasses.is_dataclass(owner):
            break
        names = [spec.name for spec in dataclasses.fields(owner)]
        if part not in names:
            group = ".".join(path) or "the configuration"
            return f"unknown field {key!r}: {group} has no {part!r}; {suggest(part, names)}"
        owner = getattr(owner, part)
        path.append(part)
    return text
