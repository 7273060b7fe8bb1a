"""Stages of any kind whose work is a function, for tests of what runs and stores them."""

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

from experiments.stage import REVISIONS, Stage, StageConfig


@dataclasses.dataclass
class Nothing:
    """A configuration without settings."""


def simple_stage(
    kind: str, name: str, work: Callable[[Any], dict[str, Any]] = lambda context: {},
    config: Any = None, inputs: dict[str, Stage] | None = None, rev: int = 1,
    scratch: tuple[str, ...] = (), **fields: Any,
) -> Stage:  # fmt: skip
    """A stage with the fields of a dataclass that does some work.

    Args:
        kind: of the stage.
        name: of the stage.
        work: takes the context and returns metrics.
        config: its settings; None for none.
        inputs: the stages it reads.
        rev: revision of the work.
        scratch: names that only an unfinished stage needs.
        **fields: further fields of :class:`Stage`.
    """
    config = Nothing() if config is None else config
    settings = type(config)
    run = {"run": lambda self, context: work(context)}
    known = dict(REVISIONS)
    made = type(
        settings.__name__, (settings, StageConfig), run, kind=kind, rev=rev, scratch=scratch
    )
    REVISIONS.update(known)  # of real kinds, by which other tests judge records
    values = {spec.name: getattr(config, spec.name) for spec in dataclasses.fields(config)}
    return Stage(made(**values), name, inputs or {}, **fields)


def with_work(stage: Stage, work: Callable[[Any], dict[str, Any]]) -> Stage:
    """The same stage, with a function of the context in place of its work."""
    config, settings = copy.copy(stage.config), type(stage.config)
    run = {"run": lambda self, context: work(context)}
    options = {"kind": stage.kind, "rev": settings.REV, "scratch": settings.SCRATCH}
    config.__class__ = type(settings.__name__, (settings,), run, **options)
    return dataclasses.replace(stage, config=config)
