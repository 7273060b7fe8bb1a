"""Benchmarks of the user: a folder with task files of lm-eval (``eval.tasks=FOLDER``).

The YAML files of such a folder may name functions in its Python files (``!function``). lm-eval
imports these with the user's rights, so a folder is code: it comes from a command or a
configuration only. Each task becomes a :class:`~evals.suites.BenchmarkTask`, whose metric, filter,
version and shots are those of its file. Files without ``task`` are there to be included. A folder
counts by its files and by the items that its tasks read, which may lie elsewhere.
"""

import glob
import json
import logging
import random
import re
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from evals import scoring
from evals.suites import SUITES, BenchmarkTask, suite
from toedit.errors import UserError, short
from toedit.identity import folder_hash

OWN = "own"
"""``source`` of these tasks."""

SAMPLE, CHARACTERS_PER_TOKEN = 100, 4
"""Items that are checked and measured before a run, and characters in a token, for estimates."""

NAME = re.compile(r"\w[\w.-]*")
OUTPUT_TYPES = ("multiple_choice", "generate_until", "loglikelihood")


def benchmarks(suite_name: str | None, folder: str | None) -> tuple[BenchmarkTask, ...]:
    """Return the tasks of a suite and those of a folder; each may be None.

    Raises:
        UserError: there is no such suite, or the folder holds no task or one that cannot be used.
    """
    tasks = suite(suite_name) if suite_name else ()
    return tasks if folder is None else (*tasks, *own_tasks(folder))


def own_tasks(folder: str) -> tuple[BenchmarkTask, ...]:
    """Import the tasks of a folder and read their items, once per content of the folder.

    Raises:
        UserError: it holds no task, or one that lm-eval or this project cannot use.
    """
    if not Path(folder).is_dir():
        raise UserError(f"eval.tasks: no folder at {folder!r}; it holds YAML files of lm-eval")
    return _load(folder, tuple(folder_hash(folder) or ()))


def content(folder: str | None, anew: bool = False) -> list[str] | None:
    """Identify the tasks of a folder: its files, and the items of each task by their content.

    Args:
        folder: of :func:`own_tasks`, which raises the same errors; None for none.
        anew: read the items again, even if this process has done so.
    """
    if folder is None:
        return None
    if anew:
        _load.cache_clear()
    items = [f"{task.name}={task.content}" for task in own_tasks(folder)]
    return [*(folder_hash(folder) or ()), *items]


def load(manager: Any, name: str) -> Any:
    """Load a task as lm-eval's ``manager`` does, with ``data_files`` beside its YAML file, if there
    are such, instead of in the current folder."""
    from lm_eval.tasks._yaml_loader import load_yaml

    path = manager.task_index[name].yaml_path
    config = load_yaml(path)
    options = config.get("dataset_kwargs") or {}
    if "data_files" in options:
        files = _beside(Path(path).parent.absolute(), options["data_files"])
        config["dataset_kwargs"] = options | {"data_files": files}
    random.seed(0)  # as where it is evaluated
    np.random.seed(0)  # noqa: NPY002  # the generator that data sets are shuffled by
    return manager.load(config)


def _beside(folder: Path, files: Any) -> Any:
    if isinstance(files, dict):
        return {split: _beside(folder, value) for split, value in files.items()}
    if isinstance(files, list):
        return [_beside(folder, value) for value in files]
    path = str(folder / str(files))
    return path if glob.glob(path, recursive=True) else files


@lru_cache(maxsize=4)
def _load(folder: str, files: tuple[str, ...]) -> tuple[BenchmarkTask, ...]:
    from lm_eval.tasks import TaskManager

    for noisy in ("lm_eval", "lm_eval.api.task", "lm-eval"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    names = _names(Path(folder))
    manager = TaskManager(include_path=folder, include_defaults=False)
    tasks = []
    for name, path in names.items():
        try:
            tasks.append(_described(load(manager, name)["tasks"][name], name))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever the user's code raises, SystemExit too
            reason = short(error) if isinstance(error, UserError) else _reason(error)
            raise UserError(f"eval.tasks: task {name!r} ({path.name}): {reason}") from error
    return tuple(tasks)


def _reason(error: BaseException) -> str:
    return f"lm-eval cannot load it, {type(error).__name__}: {short(error)}"


def _names(folder: Path) -> dict[str, Path]:
    """Names of the tasks of a folder, with their files, of which lm-eval skips damaged ones."""
    from lm_eval.tasks._yaml_loader import load_yaml

    names: dict[str, Path] = {}
    known = {"heldout"} | {task.name for tasks in SUITES.values() for task in tasks}
    for path in sorted(folder.rglob("*.yaml")):
        try:
            config = load_yaml(path, resolve_func=False)
        except Exception as error:  # of YAML, or of an include
            raise UserError(f"eval.tasks: {str(path)!r} cannot be read: {short(error)}") from error
        if "group" in config:
            raise UserError(
                f"eval.tasks: {str(path)!r} is a group, which has no result of its own; leave it "
                "out: each task of the folder is evaluated"
            )
        if "task" not in config:
            continue
        name = config["task"]
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise UserError(
                f"eval.tasks: {str(path)!r} has task={str(name)[:60]!r}; a name has letters, "
                "digits, '_', '-' and '.'"
            )
        if name in known or name in names:
            used = f"by {names[name].name}" if name in names else "by this project"
            raise UserError(f"eval.tasks: {str(path)!r}: the name {name!r} is used {used}")
        names[name] = path
    if not names:
        raise UserError(f"eval.tasks: no file *.yaml of {str(folder)!r} holds a task (task: NAME)")
    return names


def _described(task: Any, name: str) -> BenchmarkTask:
    """Describe a task of lm-eval, after a check of its first items.

    Raises:
        UserError: its output or metric has no value per item, or an item has no right option.
    """
    config = task.config
    output = config.output_type or task.OUTPUT_TYPE
    if output not in OUTPUT_TYPES:
        raise UserError(f"output_type {output} is not evaluated; take {', '.join(OUTPUT_TYPES)}")
    averages = [
        metric for metric, function in task.aggregation().items()
        if getattr(function, "__name__", "") == "mean"
        and isinstance(metric, str)  # with process_results a function has no name here
        and metric not in scoring.F1
    ]  # fmt: skip
    if not averages:
        raise UserError(
            "metric_list has no metric by name that is a mean over items (aggregation: mean), as "
            "acc, acc_norm and exact_match are"
        )
    items = list(task.eval_docs)
    if not items:
        raise UserError("it has no items")
    options, characters = 0, []
    for number, document in enumerate(items[:SAMPLE]):
        prompt = str(task.doc_to_text(document))
        choices = []
        if output == "multiple_choice":
            choices = _choices(task, document, number)
            options = max(options, len(choices))
        characters.append(sum(len(prompt) + len(choice) for choice in choices or [""]))
    _require_metric(task, items[0], averages[0], options)
    return BenchmarkTask(
        name=name,
        label=str(config.task_alias or name),
        metric=averages[0],
        options=options,
        shots=config.num_fewshot or 0,
        source=OWN,
        items=len(items),
        prompt_tokens=max(1, round(fmean(characters) / CHARACTERS_PER_TOKEN)),
        version=(config.metadata or {}).get("version"),
        filter=config.filter_list[0]["name"] if config.filter_list else "none",
        lower=not task.higher_is_better().get(averages[0], True),
        content=_digest(task, items),
    )


def _digest(task: Any, items: list[dict[str, Any]]) -> str:
    """Sixteen hexadecimal digits of the items as read and as asked, and of the shots."""
    shots = list(task.fewshot_docs()) if task.config.num_fewshot else []
    digest = sha256()
    for document in (*items, *shots):
        asked = [task.doc_to_text(document), task.doc_to_target(document)]
        asked += [task.doc_to_choice(document)] if task.config.doc_to_choice is not None else []
        digest.update(json.dumps([document, asked], sort_keys=True, default=str).encode())
    return digest.hexdigest()[:16]


def _require_metric(task: Any, document: dict[str, Any], metric: str, options: int) -> None:
    """Refuse a function ``process_results`` of the user that does not return the metric."""
    generates = (task.config.output_type or task.OUTPUT_TYPE) == "generate_until"
    try:
        values = task.process_results(document, [""] if generates else [(0.0, False)] * options)
    except Exception:  # which may be right for an answer of nothing
        return
    if metric not in values:
        names = ", ".join(map(str, values))
        raise UserError(f"process_results returns {names}, and not {metric} of metric_list")


def _choices(task: Any, document: dict[str, Any], number: int) -> list[str]:
    """Options of an item, of which one is right."""
    options, target = task.doc_to_choice(document), task.doc_to_target(document)
    if getattr(task, "multiple_input", False):  # beginnings are compared
        return [str(option) for option in options]
    if isinstance(target, list):
        raise UserError(f"item {number} has several right options; give it one")
    if isinstance(target, int) and not 0 <= target < len(options):
        raise UserError(f"item {number}: doc_to_target is {target}, of {len(options)} options")
    if isinstance(target, str) and target.strip() not in [str(o).strip() for o in options]:
        raise UserError(f"item {number}: doc_to_target {target[:60]!r} is none of its options")
    return [str(option) for option in options]
