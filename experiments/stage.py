"""Stages, and the fingerprints that identify their results.

A stage is a configuration that can run, and inputs that are stages. Its fingerprint is a hash of
everything that changes its result: kind and revision of the work, configuration, and the inputs'
fingerprints. Paths, devices, worker counts and trackers never enter it.

Of a configuration only fields that apply and differ from their default count, so that a new field
with a default leaves every fingerprint as it was; changing a default raises the stage's revision.
What has no stable form is refused, never hashed by accident.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar

from toedit.corpora.remote import addresses, is_remote, short_names
from toedit.corpora.units import corpus_files


def identity(value: Any) -> Any:
    """The identifying part of a configuration as plain JSON values.

    Args:
        value: dataclasses, mappings, lists and scalars, nested.

    Returns:
        Dictionaries, lists and scalars; floats as they are, written exactly by ``json``.

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
    if value is None or isinstance(value, bool | int | str):
        return value
    raise TypeError(f"a {type(value).__name__} cannot identify a stage: {value!r}")


def _dataclass_identity(value: Any) -> dict[str, Any]:
    inapplicable = value.inapplicable() if hasattr(value, "inapplicable") else set()
    result = {}
    for spec in dataclasses.fields(value):
        mode = spec.metadata.get("identity", True)
        current = getattr(value, spec.name)
        if mode is False or spec.name in inapplicable or _is_default(spec, current):
            continue
        result[spec.name] = _IDENTITIES[mode](current)
    return result


def _is_default(spec: dataclasses.Field, current: Any) -> bool:
    if spec.default is not dataclasses.MISSING:
        return current == spec.default
    if spec.default_factory is not dataclasses.MISSING:
        return current == spec.default_factory()
    return False


def content_hash(paths: list[str]) -> list[str]:
    """Hashes of local files by name and content, so that moving a folder changes nothing."""
    return [f"{path.name}:{_file_hash(path)}" for path in corpus_files(paths)]


def items_hash(folder: str | None) -> list[str] | None:
    """Items of benchmarks, ``FOLDER/NAME/test.jsonl``, by name and content."""
    if folder is None:
        return None
    files = sorted(Path(folder).expanduser().glob("*/test.jsonl"))
    return [f"{path.parent.name}:{_file_hash(path)}" for path in files]


def files_hash(patterns: list[str]) -> list[str]:
    """Local files by content and the names they go by, addresses elsewhere as they are."""
    given = [p for p in patterns if is_remote(p)]
    found = addresses(p for p in patterns if not is_remote(p))
    local = [path for path in found if not is_remote(path)]
    hashes = [_file_hash(Path(path)) for path in local]
    named = [f"{name}:{h}" for name, h in zip(short_names(local), hashes, strict=True)]
    return [*given, *(path for path in found if is_remote(path)), *named]


MODEL_FILES = (".json", ".safetensors", ".model", ".jinja")
TEMPLATES = Path(__file__).parent / "training" / "templates"
"""Chat templates that are kept here."""


def template_hash(name: str | None) -> str | None:
    """A chat template that is kept here by name and content, others by name."""
    path = TEMPLATES / f"{name}.jinja"
    return f"{name}:{_file_hash(path)}" if path.is_file() else name


def model_hash(name: str | None) -> Any:
    """A hub id, ``embedded`` or none as it is; a local folder by the content of its files."""
    if name is None:
        return None
    folder = Path(name).expanduser()
    if not folder.is_dir():
        return name
    files = sorted(p for p in folder.iterdir() if p.suffix in MODEL_FILES)
    return [f"{path.name}:{_file_hash(path)}" for path in files]


def _file_hash(path: Path) -> str:
    state = path.stat()
    return _hash_of_state(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=4096)
def _hash_of_state(path: Path, size: int, mtime: int) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()[:16]


_IDENTITIES: dict[Any, Callable[[Any], Any]] = {
    True: identity,
    "content": content_hash,
    "files": files_hash,
    "items": items_hash,
    "model": model_hash,
    "template": template_hash,
    "models": lambda names: [model_hash(name) for name in names],
}
"""How a field counts, by the ``identity`` of its metadata; False leaves it out."""


def digest(value: Any) -> str:
    """Twelve hexadecimal digits of the SHA-256 of a JSON value, whatever the order of its keys."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


REVISIONS: dict[str, int] = {}
"""Current revision of each kind of stage whose module is imported."""


class StageConfig:
    """Base of the dataclass that defines one kind of stage: what changes the result, and the work.

    .. code-block:: python

        @dataclass
        class CountWords(StageConfig, kind="words"):
            lowercase: bool = False

            def run(self, context: StageContext) -> dict[str, Any]: ...

    Args:
        kind: name of the kind; its folder in the store.
        rev: revision of the work, raised when its results change.
        scratch: names in its folder that only an unfinished stage needs; they are removed once its
            record exists.
    """

    KIND: ClassVar[str]
    REV: ClassVar[int]
    SCRATCH: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls, kind: str, rev: int = 1, scratch: tuple[str, ...] = ()) -> None:
        super().__init_subclass__()
        cls.KIND, cls.REV, cls.SCRATCH = kind, rev, scratch
        REVISIONS[kind] = rev

    def run(self, context: "StageContext") -> dict[str, Any]:
        """Writes files into ``context.folder`` and returns metrics for the record."""
        raise TypeError(f"{type(self).__name__} has no run")


@dataclass(frozen=True, eq=False)
class Stage:
    """One step of an experiment.

    Attributes:
        config: everything that changes the result, and the work.
        name: which one, for people.
        inputs: the stages it reads.
        runtime: settings that do not change the result.
        arm: the arm of the experiment it belongs to, without seed; no part of the identity, as are
            the next three.
        seed: of the run it belongs to; where it is not given, that of its inputs. None where no
            seed changes the result, as of the base model.
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
        """What it does; the first folder of its place in the store."""
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
        """Kind, name and fingerprint in one word."""
        return f"{self.kind}/{self.name}-{self.fingerprint}"

    def upstream(self) -> "list[Stage]":
        """This stage and everything it depends on, inputs first, each once."""
        seen: dict[int, Stage] = {}

        def visit(stage: Stage) -> None:
            if id(stage) not in seen:
                for parent in stage.inputs.values():
                    visit(parent)
                seen[id(stage)] = stage

        visit(self)
        return list(seen.values())


@dataclass(frozen=True)
class StageContext:
    """What a stage's function is given.

    Attributes:
        stage: the stage itself.
        folder: where it writes; may hold the unfinished work of an interrupted attempt.
        inputs: folders of its inputs.
        metrics: recorded metrics of its inputs.
        log: writes metrics of a step to ``metrics.jsonl`` and the tracker.
    """

    stage: Stage
    folder: Path
    inputs: dict[str, Path]
    metrics: dict[str, dict[str, Any]]
    log: Callable[[dict[str, float], int], None]
