"""Stages, and the fingerprints that identify their results.

A stage is a configuration that can run, and inputs that are stages. Its fingerprint is a hash of
everything that changes its result: kind and revision of the work, configuration, and the inputs'
fingerprints. Paths, devices, worker counts and trackers never enter it.

Of a configuration only fields that apply and differ from their default count, so that a new field
with a default leaves every fingerprint as it was; changing a default raises the stage's revision.
A value without a stable form raises an error.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from evals.own_tasks import content
from evals.suites import SUITES
from toedit.corpora.remote import addresses, is_remote, short_names
from toedit.identity import content_hash, file_hash, model_hash, plugin_hash
from toedit.priors.vllm_settings import deciding
from toedit.redaction import without_credentials


def identity(value: Any) -> Any:
    """The identifying part of nested dataclasses, mappings, lists and scalars as JSON values.

    Raises:
        TypeError: a value has no stable form.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _dataclass_identity(value)
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: identity(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [identity(item) for item in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise TypeError(f"{value} cannot identify a stage")
        return int(value) if value == int(value) else value
    if isinstance(value, str):
        return without_credentials(value)
    if value is None or isinstance(value, bool | int):
        return value
    raise TypeError(f"a {type(value).__name__} cannot identify a stage: {value!r}")


def _dataclass_identity(value: Any) -> dict[str, Any]:
    inapplicable = value.inapplicable() if hasattr(value, "inapplicable") else set()
    result = {}
    for spec in dataclasses.fields(value):
        mode = spec.metadata.get("identity", True)
        current, default = getattr(value, spec.name), spec.default  # MISSING equals no value
        if spec.default_factory is not dataclasses.MISSING:
            default = spec.default_factory()
        if mode is not False and spec.name not in inapplicable and current != default:
            result[spec.name] = _IDENTITIES[mode](current)
    return result


def items_hash(folder: str | None) -> list[str] | None:
    """Items of benchmarks, ``FOLDER/NAME/test.jsonl``, by name and content."""
    if folder is None:
        return None
    files = sorted(path for path in Path(folder).glob("*/test.jsonl") if path.is_file())
    return [f"{path.parent.name}:{file_hash(path)[:16]}" for path in files]


def files_hash(patterns: list[str]) -> list[str]:
    """Local files by short name and content, remote addresses unchanged."""
    remote = [without_credentials(p) for p in patterns if is_remote(p)]
    paths = addresses(p for p in patterns if not is_remote(p))
    local = [path for path in paths if not is_remote(path)]
    hashes = [file_hash(Path(path)) for path in local]
    names = [f"{name}:{h[:16]}" for name, h in zip(short_names(local), hashes, strict=True)]
    listed = [without_credentials(path) for path in paths if is_remote(path)]
    return [*remote, *listed, *names]


def suite_identity(name: str | None) -> str | None:
    """A suite by its name, and by the definitions of its tasks unless all of them are embedded."""
    tasks = SUITES.get(str(name), ())
    if all(task.embedded for task in tasks):
        return name
    fields = [[t.name, t.version, t.shots, t.metric, t.filter, t.dataset] for t in tasks]
    return f"{name}:{digest(fields)}"


TEMPLATES = Path(__file__).parent / "training" / "templates"
"""Folder of the chat templates of this repository."""


def template_hash(name: str | None) -> str | None:
    """A chat template of this repository by name and content, others by name."""
    path = TEMPLATES / f"{name}.jinja"
    return f"{name}:{file_hash(path)[:16]}" if path.is_file() else name


_IDENTITIES: dict[Any, Callable[[Any], Any]] = {
    True: identity,
    "content": content_hash,
    "files": files_hash,
    "items": items_hash,
    "model": model_hash,
    "prior": lambda name: plugin_hash(name, "prior"),
    "sampler": lambda name: plugin_hash(name, "sampler"),
    "suite": suite_identity,
    "tasks": content,
    "template": template_hash,
    "models": lambda names: [model_hash(name) for name in names],
    "vllm": lambda settings: identity(deciding(settings)),
}
"""Identity of a field's value, by the ``identity`` of its metadata; False leaves the field out."""


def digest(value: Any) -> str:
    """Twelve hexadecimal digits of the SHA-256 of a JSON value, in any order of its keys."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


REVISIONS: dict[str, int] = {}
"""Revision of each kind of stage whose module is imported."""


class StageConfig:
    """Base of the dataclass that defines a kind of stage: its settings and its work.

    .. code-block:: python

        @dataclass
        class CountWords(StageConfig, kind="words"):
            lowercase: bool = False

            def run(self, context: StageContext) -> dict[str, Any]: ...

    Args:
        kind: name of the kind; its folder in the store.
        rev: revision of the work, raised when its results change.
        scratch: files in its folder that only an unfinished stage needs; they are deleted once
            its record exists.
    """

    KIND: ClassVar[str]
    REV: ClassVar[int]
    SCRATCH: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls, kind: str, rev: int = 1, scratch: tuple[str, ...] = ()) -> None:
        super().__init_subclass__()
        cls.KIND, cls.REV, cls.SCRATCH = kind, rev, scratch
        REVISIONS[kind] = rev

    def run(self, context: "StageContext") -> dict[str, Any]:
        """Write files into ``context.folder`` and return metrics for the record."""
        raise TypeError(f"{type(self).__name__} has no run")


@dataclass(frozen=True, eq=False)
class Stage:
    """One step of an experiment.

    Attributes:
        config: settings that change the result, and the work (:class:`StageConfig`).
        name: readable name.
        inputs: the stages it reads.
        runtime: settings that do not change the result.
        arm: the arm of the experiment it belongs to, without seed; like the next three no part of
            the identity.
        seed: of the run it belongs to; by default that of its inputs. None where no seed changes
            the result, as of the base model.
        checkpoint: tokens of training after which the model is evaluated; None for all.
        tracked: whether it appears in the tracker run of its arm and seed.
    """

    config: Any
    name: str
    inputs: "dict[str, Stage]" = field(default_factory=dict)
    runtime: Any = None
    arm: str | None = None
    seed: int | None = None
    checkpoint: int | None = None
    tracked: bool = False

    def __post_init__(self) -> None:
        if self.seed is None:
            seeds = (stage.seed for stage in self.inputs.values() if stage.seed is not None)
            object.__setattr__(self, "seed", next(seeds, None))

    @property
    def kind(self) -> str:
        """Kind of work; the folder of its results in the store."""
        kind: str = self.config.KIND
        return kind

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Everything that changes the result."""
        return {
            "kind": self.kind,
            "rev": self.config.REV,
            "config": identity(self.config),
            "inputs": {name: stage.fingerprint for name, stage in sorted(self.inputs.items())},
        }

    @cached_property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits of the identity's SHA-256."""
        return digest(self.identity)

    @property
    def label(self) -> str:
        """``kind/name-fingerprint``, the path of its folder in the store."""
        return f"{self.kind}/{self.name}-{self.fingerprint}"

    def upstream(self) -> "list[Stage]":
        """This stage and everything it depends on, inputs first, each once."""
        stages: dict[Stage, None] = {}

        def visit(stage: Stage) -> None:
            if stage not in stages:
                for parent in stage.inputs.values():
                    visit(parent)
                stages[stage] = None

        visit(self)
        return list(stages)


def upstream(stages: Iterable[Stage]) -> list[Stage]:
    """Stages and everything they depend on, inputs first, each once."""
    return list(dict.fromkeys(parent for stage in stages for parent in stage.upstream()))


@dataclass(frozen=True)
class StageContext:
    """Argument of :meth:`StageConfig.run`.

    Attributes:
        stage: the stage that runs.
        folder: folder to write to; may hold the unfinished work of an interrupted attempt.
        inputs: folders of its inputs.
        metrics: recorded metrics of its inputs.
        log: writes metrics of a step to ``metrics.jsonl`` and the tracker.
        measured: fields of the record that were measured where the work was done
            (:func:`toedit.machine.measured`); empty if that is this process.
    """

    stage: Stage
    folder: Path
    inputs: dict[str, Path]
    metrics: dict[str, dict[str, Any]]
    log: Callable[[dict[str, float], int], None]
    measured: dict[str, Any] = field(default_factory=dict)
