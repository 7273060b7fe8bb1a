"""Evaluate a model on benchmarks and on held-out text, and save every prediction."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from evals import scoring
from evals.clusters import document_clusters
from evals.harness import evaluate_task
from evals.heldout import corpus_perplexity, held_out, held_out_responses
from evals.language_models import close, vllm_model
from evals.own_tasks import OWN, benchmarks, content
from evals.suites import SUITES, BenchmarkTask
from experiments.analysis import metrics
from experiments.analysis.evidence import CUT
from experiments.analysis.levels import level
from experiments.analysis.metrics import HELD_OUT_TASK, PREDICTIONS, Metric
from experiments.config import EvalConfig, ModelConfig
from experiments.stage import Stage, StageConfig, StageContext
from experiments.stages.corpus import HELD_OUT, inputs_of
from experiments.training.chat import chat_template, examples
from experiments.training.model import MODEL, kept_name
from toedit import embedded
from toedit.corpora.files import load_table, save_table
from toedit.corpora.sources import local_documents
from toedit.errors import UserError, require_choice
from toedit.priors.loading import (
    embedded_revision,
    load_model_and_tokenizer,
    load_tokenizer,
    located,
)
from toedit.progress import progress


@dataclass
class EvaluateStage(StageConfig, kind="evaluate"):
    """Benchmarks and settings, the base model (None to evaluate a trained one), the revision of the
    embedded data, the chat template of held-out conversations, and the definitions of the tasks of
    ``evaluation.tasks``, for reports; its content identifies them."""

    evaluation: EvalConfig
    model: str | None = field(default=None, metadata={"identity": "model"})
    revision: str | None = None
    data: str | None = None
    after: int | None = None
    template: str | None = field(default=None, metadata={"identity": "template"})
    own: list[dict[str, Any]] = field(default_factory=list, metadata={"identity": False})

    def run(self, context: StageContext) -> dict[str, Any]:
        """Write ``predictions/TASK.parquet``; return a summary per task and of held-out text."""
        identified = context.stage.identity["config"]["evaluation"].get("tasks")
        if content(self.evaluation.tasks, anew=True) != identified:
            raise UserError(
                f"eval.tasks={self.evaluation.tasks!r} has changed since this command began; "
                "repeat it"
            )
        names = [*(task.name for task in tasks(self.evaluation)), HELD_OUT_TASK]
        unfinished = [name for name in names if not _path(context.folder, name).exists()]
        if unfinished:
            sizes = _sizes(self.evaluation, context.inputs["corpus"])
            total = sum(sizes[name] for name in unfinished)
            with progress(total, f"evaluate {context.stage.name}", "tokens") as work:
                _evaluate(context, unfinished, lambda name: work.advance(sizes[name]))
        summaries: dict[str, Any] = {
            task.name: summarize(task, read_predictions(context.folder, task.name))
            for task in tasks(self.evaluation)
        }
        held_out_rows = read_predictions(context.folder, HELD_OUT_TASK)
        return summaries | {HELD_OUT_TASK: summarize_held_out(held_out_rows)}


def stage(
    corpus: Stage,
    name: str,
    evaluation: EvalConfig,
    model: ModelConfig,
    trained: Stage | None,
    after: int | None = None,
) -> Stage:
    """Evaluation of a trained model, or of the base model if ``trained`` is None, on benchmarks and
    on the held-out text of a corpus.

    ``after`` is the number of training tokens of the model that is evaluated; None for all.
    """
    inputs = inputs_of(corpus=corpus, model=trained)
    config = EvaluateStage(evaluation, after=after, template=model.template)
    if trained is None:
        config.model = model.model
        config.revision = embedded_revision(model.model) or model.revision
    if any(task.embedded for task in tasks(evaluation)):
        config.data = embedded.DATA.revision
    config.own = [asdict(task) for task in tasks(evaluation) if task.source == OWN]
    _require_limits(evaluation)
    _require_items(evaluation)
    arm = name if trained is None else trained.arm
    return Stage(config, name, inputs, runtime=model, arm=arm, checkpoint=after, tracked=True)


def _require_limits(evaluation: EvalConfig) -> None:
    """Refuse limits of unknown tasks; those of a suite that ``eval.suite=null`` took away stay."""
    names = [task.name for task in tasks(evaluation)]
    if evaluation.suite is None:
        names += [task.name for suite in SUITES.values() for task in suite]
    for limited in evaluation.limits:
        require_choice("eval.limits", limited, names)


def _require_items(evaluation: EvalConfig) -> None:
    """Refuse missing items of AdaptLLM before anything is trained."""
    adaptllm = [task for task in tasks(evaluation) if task.source == "adaptllm"]
    if evaluation.data is not None and not adaptllm:
        raise UserError(
            f"eval.data={evaluation.data!r} is for the tasks of AdaptLLM, which "
            f"eval.suite={evaluation.suite} does not hold; leave it out"
        )
    for task in adaptllm:
        if evaluation.data is not None:
            path = Path(evaluation.data) / task.label / "test.jsonl"
            if not path.is_file():
                raise UserError(
                    f"eval.data: the items of {task.label} are not there: {str(path)!r}"
                )
        if task.metric == "headline_f1" and task.name in evaluation.limits:
            raise UserError(
                f"eval.limits.{task.name}: {task.label} is a mean over classes of questions and "
                "cannot be evaluated on a part; leave the limit out"
            )


def tasks(evaluation: EvalConfig) -> tuple[BenchmarkTask, ...]:
    """The benchmarks of an evaluation."""
    return benchmarks(evaluation.suite, evaluation.tasks)


def _evaluate(context: StageContext, unfinished: list[str], ended: Callable[[str], None]) -> None:
    """Evaluate unfinished tasks; ``ended`` is called with the name of each at its end."""
    from toedit.priors.hf import HFPrior, pick_device

    config: EvaluateStage = context.stage.config
    evaluation = config.evaluation
    if "model" in context.inputs:
        folder = MODEL if config.after is None else kept_name(config.after)
        name, revision = str(context.inputs["model"] / folder), None
    else:
        name, revision = located(context.stage.runtime.model, context.stage.runtime.revision)
    benchmarks = [task for task in tasks(evaluation) if task.name in unfinished]
    if evaluation.backend == "vllm" and benchmarks:
        model = vllm_model(name, revision, evaluation.dtype, evaluation.vllm)
        _run(benchmarks, model, load_tokenizer(name, revision), revision, context, ended)
        close(model)
        benchmarks = []
    model, tokenizer = load_model_and_tokenizer(
        name, revision, evaluation.dtype, pick_device("auto")
    )
    _run(benchmarks, model, tokenizer, revision, context, ended)
    if HELD_OUT_TASK in unfinished:
        documents = local_documents([context.inputs["corpus"] / HELD_OUT])
        if config.template is not None:
            template = chat_template(context.stage.runtime, tokenizer)
            records = examples(documents, tokenizer, template)
            rows = held_out_responses(
                model, tokenizer, records, evaluation.window, evaluation.heldout_tokens
            )
        else:
            prior = HFPrior(
                model, tokenizer, max_length=evaluation.window, overlap=evaluation.window // 4
            )
            rows = held_out(prior, documents, evaluation.heldout_tokens, evaluation.first_tokens)
        _write(context.folder, HELD_OUT_TASK, _with_clusters(rows, context.inputs["corpus"]))


def _run(
    benchmarks: Sequence[BenchmarkTask],
    model: Any,
    tokenizer: Any,
    revision: str | None,
    context: StageContext,
    ended: Callable[[str], None],
) -> None:
    evaluation = context.stage.config.evaluation
    for task in benchmarks:
        rows = evaluate_task(
            model, tokenizer, task, evaluation.limits.get(task.name), evaluation.batch_size,
            data=evaluation.data, revision=revision, allow_cut=evaluation.allow_cut,
            folder=Path(str(evaluation.tasks)) if task.source == OWN else None,
        )  # fmt: skip
        _write(context.folder, task.name, rows)
        ended(task.name)


def _sizes(evaluation: EvalConfig, corpus: Path) -> dict[str, float]:
    """Tokens of each task, near enough for a progress bar."""
    heldout = sum(path.stat().st_size for path in (corpus / HELD_OUT).rglob("*") if path.is_file())
    sizes = {HELD_OUT_TASK: float(evaluation.heldout_tokens or heldout / 4)}
    for task in tasks(evaluation):
        sizes[task.name] = task.prompt_tokens * min(
            task.items, evaluation.limits.get(task.name, task.items)
        )
    return sizes


def _with_clusters(rows: list[dict[str, Any]], corpus: Path) -> list[dict[str, Any]]:
    """Add to rows of held-out documents the cluster of each document."""
    ids = {row["item"] for row in rows}
    documents = [d for d in local_documents([corpus / HELD_OUT]) if d.id in ids]
    clusters = dict(zip((d.id for d in documents), document_clusters(documents), strict=True))
    return [{**row, "cluster": clusters[row["item"]]} for row in rows]


def _path(folder: Path, task: str) -> Path:
    return folder / PREDICTIONS / f"{task}.parquet"


def _write(folder: Path, task: str, rows: list[dict[str, Any]]) -> None:
    save_table(_path(folder, task), rows, compression="zstd", compression_level=19)


def read_predictions(folder: Path, task: str) -> list[dict[str, Any]]:
    """Rows of one task from the folder of the stage."""
    return load_table(_path(folder, task)).to_pylist()


def summarize(task: BenchmarkTask, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Metrics of a benchmark with standard errors over items, and the two baselines.

    ``cut_items`` is the number of items that lost the beginning of their prompt; it is absent if
    an older version made the rows and did not count.
    For tasks with options, also the log-probability of the right answer among the options
    (``norm_logprob``), that of its tokens (``gold_logprob``) and its ``margin``, in nats.
    """
    result: dict[str, Any] = {
        "items": len(rows),
        "clusters": len({row.get("cluster", row["item"]) for row in rows}),
        **_with_error(task.metric, metrics.benchmark(task), rows),
    }
    lost = [row.get("cut_tokens") for row in rows]
    if None not in lost:
        result[CUT] = sum(map(bool, lost))
    if "entity_f1" in rows[0]:
        result |= _with_error("entity_f1", metrics.benchmark(task, "entity_f1"), rows)
    if rows[0]["gold"] is not None:
        for column in metrics.FIELDS:
            result |= _with_error(column, metrics.benchmark(task, column), rows)
        label, most = Counter(row["gold"] for row in rows).most_common(1)[0]
        if task.metric in scoring.F1:
            always = [(row["group"], row["gold"], label) for row in rows]
            result |= {"majority": scoring.f1_of_items(always), "random": None}
        else:
            chance = 1 / task.options
            if task.source == OWN:  # whose items may have unlike numbers of options
                chance = fmean(1 / len(row["option_logprobs"]) for row in rows)
            if metrics.in_percent(task):
                result |= {"majority": most / len(rows), "random": chance}
    return result


def summarize_held_out(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Token perplexity and bits per byte over all held-out documents, with their sizes."""
    return {
        **_with_error("bits_per_byte", metrics.bits_per_byte(), rows),
        **corpus_perplexity(rows),
    }


def _with_error(name: str, metric: Metric, rows: list[dict[str, Any]]) -> dict[str, float]:
    """A metric and its standard error over items, as fractions if it is reported in percent."""
    observed = metric.of_rows(rows)
    assert observed is not None
    value = metric.ratio(observed)
    error = level([({None: observed}, metric)]).se_items
    if metric.is_score:
        return {name: value, f"{name}_stderr": error / metric.factor}
    return {name: metric.factor * value, f"{name}_stderr": error}
