"""Evaluate models on benchmark tasks by lm-eval, with one row per item."""

import logging
import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from evals.items import item_texts
from evals.language_models import CountCuts, transformers_model
from evals.own_tasks import OWN, load
from evals.rows import item_id, row_of
from evals.suites import BenchmarkTask
from toedit.corpora.sources import loading_errors
from toedit.errors import UserError, short
from toedit.hub import COMMIT, DATASET, hub_problem, note_commit

TASKS = Path(__file__).parent / "tasks"

log = logging.getLogger(__name__)


def evaluate_task(
    model: Any,
    tokenizer: Any,
    task: BenchmarkTask,
    limit: int | None = None,
    batch_size: int = 1,
    folder: Path | None = None,
    data: str | None = None,
    revision: str | None = None,
    allow_cut: bool = False,
) -> list[dict[str, Any]]:
    """Evaluate a model on one task.

    Args:
        model: a causal language model of transformers, left in evaluation mode, or one in vLLM
            (:func:`~evals.language_models.vllm_model`), which batches by itself.
        tokenizer: its tokenizer.
        task: task, metric and shots.
        limit: evaluate only this many items; of a group, of each of its tasks.
        batch_size: items in a forward pass: prompts with all their options, packed without padding,
            or prompts to be answered.
        folder: folder of the YAML file; None for ours, or lm-eval's if it is a stock task.
        data: folder with the items of AdaptLLM's tasks, instead of the hub.
        revision: commit of the tokenizer of a hub model.
        allow_cut: evaluate also if every item is longer than the model reads.

    Returns:
        A row per item, in the task's order: ``item`` (id, prefixed by the task's name in a group),
        ``value`` (the task's metric), ``gold`` and ``prediction`` (option indices; the prediction
        has the largest sum, or the largest mean per token if the row has ``option_tokens``),
        ``option_logprobs`` (summed natural log-probability of each option), ``gold_logprob``. The
        last four are None if the task is not multiple choice. For a metric of
        :data:`evals.scoring.F1` the value is 1 if the item is right, and ``group`` is its class of
        question. Generated text is in ``text``, and further metrics of the task under their names.
        ``cut_tokens`` is the number of tokens that the beginning of the prompt lost since prompt
        and option, or prompt and room for the answer, are longer than the model reads (the most
        over options); 0 if nothing was cut, None if it is not known.

    Raises:
        UserError: lm-eval has no such task, another version of it, or cannot load its items; every
            item is longer than the model reads, or an option or answer alone is.
    """
    from lm_eval.evaluator import simple_evaluate

    metadata = {"tokenizer": tokenizer.name_or_path, "revision": revision, "adaptllm": data}
    manager, loaded = _load(task, folder, metadata)
    max_length = None
    if task.source == "adaptllm" and not task.options:
        # As AdaptLLM: prompts of generation tasks are cut on the left to 1,948 of 2,048 tokens.
        max_length = 2048
    if not isinstance(model, CountCuts):
        model = transformers_model(model, tokenizer, batch_size)
    model.begin(task.name, max_length, allow_cut)
    with _no_environment():
        results = simple_evaluate(
            model=model,
            tasks=[loaded],
            num_fewshot=task.shots,
            limit=limit,
            task_manager=manager,
            bootstrap_iters=0,
            log_samples=True,
        )
    if results is None:  # only on other ranks of a distributed evaluation
        raise RuntimeError("lm-eval returned no results")
    rows = []
    for name, samples in results["samples"].items():
        samples = [sample for sample in samples if sample["filter"] == task.filter]
        for sample in sorted(samples, key=lambda sample: sample["doc_id"]):
            cut = model.cut.get((name, sample["doc_id"]))
            row = row_of(task, sample) | {"cut_tokens": cut}
            rows.append(row if name == task.name else row | {"item": f"{name}:{row['item']}"})
    cut_items = sum(bool(row["cut_tokens"]) for row in rows)
    if cut_items:
        log.warning(
            "%d of %d items of %s lost the beginning of their prompt, since the model reads %d "
            "tokens", cut_items, len(rows), task.name, model.max_length,
        )  # fmt: skip
    return rows


@contextmanager
def _no_environment() -> Iterator[None]:
    """Keep lm-eval from listing all installed packages after every task, which takes seconds, and
    from asking git for the commit of the current folder, which may have none and says so."""
    from lm_eval import evaluator
    from torch.utils import collect_env

    listing, commit = collect_env.get_pretty_env_info, evaluator.get_git_commit_hash
    collect_env.get_pretty_env_info = evaluator.get_git_commit_hash = lambda: ""
    try:
        yield
    finally:
        collect_env.get_pretty_env_info, evaluator.get_git_commit_hash = listing, commit


def task_texts(
    task: BenchmarkTask, data: str | None = None, folder: Path | None = None
) -> list[tuple[str, str]]:
    """Return (id, text) of every item of a task, for decontamination.

    Ids of items that are not embedded are prefixed by the name of their task, since many are mere
    numbers. An item has several texts, so that n-grams do not span them: its prompt without shots,
    each option or the answer, and its solution if it has one. ``data`` and ``folder`` are those of
    :func:`evaluate_task`, which raises the same errors.
    """
    if task.embedded:
        return item_texts(task.name)
    _, loaded = _load(task, folder, {"adaptllm": data, "texts_only": True})
    return [
        (f"{part.task_name}:{item_id(document, number)}", text)
        for part in _parts(loaded)
        for number, document in enumerate(part.eval_docs)
        for text in _texts(part, document)
        if text.strip()
    ]


def _load(task: BenchmarkTask, folder: Path | None, metadata: dict[str, Any]) -> tuple[Any, Any]:
    """Load lm-eval's task manager and a task or group, and check its version and filter.

    A stock task is loaded once in a process: MMLU alone is 57 data sets of the hub.
    """
    stock = task.source == "stock" and folder is None
    manager, loaded = _load_stock(task) if stock else _load_anew(task, folder, metadata)
    for part in _parts(loaded):
        _note_commit(part)  # also where the task is loaded already: each record has it
    return manager, loaded


@lru_cache(maxsize=1)
def _stock_manager() -> Any:
    """Return lm-eval's task manager of its own tasks, which reads thousands of files."""
    from lm_eval.tasks import TaskManager

    return TaskManager()


@lru_cache(maxsize=16)
def _load_stock(task: BenchmarkTask) -> tuple[Any, Any]:
    return _load_anew(task, None, {})


def _load_anew(
    task: BenchmarkTask, folder: Path | None, metadata: dict[str, Any]
) -> tuple[Any, Any]:
    from lm_eval import __version__
    from lm_eval.tasks import TaskManager

    for noisy in ("lm_eval", "lm_eval.evaluator", "lm_eval.api.task", "lm-eval"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    stock = task.source == "stock" and folder is None
    manager = _stock_manager() if stock else TaskManager(
        include_path=str(folder or TASKS),
        include_defaults=False,
        metadata=metadata if task.source == "adaptllm" else None,
    )  # fmt: skip
    if task.name not in manager.all_tasks:
        raise UserError(f"lm-eval {__version__} has no task {task.name!r}; install another lm-eval")
    random.seed(0)  # as lm-eval itself does: GPQA shuffles its options while it is loaded
    try:
        own = task.source == OWN
        tasks = load(manager, task.name) if own else manager.load(task.name)
    except loading_errors() as error:
        reason = hub_problem(error, DATASET, task.dataset or task.name) or short(error)
        raise UserError(
            f"cannot load the items of {task.name} ({reason}); it reads them from "
            f"{task.dataset or 'the hub'}: "
            "connect (and log in where they are gated), or choose a suite of embedded items: "
            "eval.suite=…_embedded"
        ) from error
    group = tasks["groups"].get(task.name)
    loaded = group or tasks["tasks"][task.name]
    version = ((loaded.metadata if group else loaded.config.metadata) or {}).get("version")
    if version != task.version:
        raise UserError(
            f"{task.name} is evaluated in version {task.version}, but its file has version "
            f"{version} (metadata.version), whose scores would not compare; "
            + (
                f"install another lm-eval than {__version__}"
                if task.source == "stock"
                else "set one of them to the other"
            )
        )
    for part in _parts(loaded):
        filters = [f["name"] for f in part.config.filter_list or [{"name": "none"}]]
        if task.filter not in filters:
            raise UserError(
                f"{part.task_name} has no filter {task.filter!r}; it has: {', '.join(filters)}"
            )
    return manager, loaded


def _note_commit(part: Any) -> None:
    """Note the commit of a task's data set: ``datasets`` keeps it in OWNER___NAME/…/COMMIT."""
    options = part.config.dataset_kwargs or {}
    splits = part.dataset.values() if isinstance(part.dataset, dict) else ()
    folders = {Path(f["filename"]).parent for s in splits for f in getattr(s, "cache_files", ())}
    for folder in (folder for folder in folders if COMMIT.fullmatch(folder.name)):
        name = part.config.dataset_path or folder.parents[2].name.replace("___", "/")
        note_commit(DATASET, name, options.get("revision"), folder.name)


def _parts(loaded: Any) -> list[Any]:
    """Return the tasks of a group, or the task alone."""
    return loaded.get_all_tasks() if hasattr(loaded, "get_all_tasks") else [loaded]


def _texts(part: Any, document: dict[str, Any]) -> Iterator[str]:
    prompt, target = part.doc_to_text(document), part.doc_to_target(document)
    if part.config.doc_to_choice is None:
        yield prompt
        yield from map(str, target if isinstance(target, list) else [target])
    elif part.multiple_input:  # Winogrande: beginnings are compared by the end they share
        yield from (f"{beginning} {target}" for beginning in part.doc_to_choice(document))
    else:
        yield prompt
        yield from map(str, part.doc_to_choice(document))
    yield from (str(document.get(name, "")) for name in ("question", "solution"))
