"""Train a model on the text of an arm."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from evals.instructions import QUOTED
from experiments.config import ModelConfig, TrainConfig
from experiments.config.launch import LaunchConfig
from experiments.stage import Stage, StageConfig, StageContext
from experiments.stages.corpus import CorpusStage, inputs_of, training_text
from experiments.stages.mixture import MIXTURE
from experiments.stages.tokenizer import FOLDER
from experiments.training import BLOCKS, CHECKPOINTS, JOB, LOG, PACKING, PROGRESS, SCRIPT
from experiments.training.chat import chat_template, examples
from experiments.training.launchers import run_training
from experiments.training.messages import Messages
from experiments.training.model import ADAPTER, MODEL, require_layers, separator_id, skeleton
from experiments.training.training_job import Job
from toedit.controls import eligible_spans, smoothing_amount
from toedit.corpora import SHARDS, WORK
from toedit.corpora.files import read_json, save_array, write_json
from toedit.corpora.packing import pack, pack_examples
from toedit.corpora.scores import pair_scores, read_all_scores
from toedit.errors import UserError
from toedit.priors import load_vocabulary
from toedit.priors.loading import (
    embedded_revision,
    load_tokenizer,
    model_limits,
    pinned_model,
    require_rows,
)
from toedit.progress import progress

log = logging.getLogger(__name__)


@dataclass
class TrainStage(
    StageConfig,
    kind="train",
    scratch=(CHECKPOINTS, BLOCKS, JOB, LOG, PACKING, PROGRESS, SCRIPT, WORK),
):
    """The model, its training, the seed of block order and initial weights, the revision of the
    embedded model, and the share of blocks that are of a second text."""

    model: ModelConfig
    train: TrainConfig
    seed: int = 0
    embedded: str | None = None
    share: float = 0.0

    def run(self, context: StageContext) -> dict[str, Any]:
        """Pack the text and train; return steps, tokens and losses."""
        launch: LaunchConfig = context.stage.runtime
        train = self.train
        if mostly_warmup(train):
            log.warning(
                "warning: warmup takes %d of %d steps: this run hardly reaches its learning rate",
                train.warmup,
                train.steps,
            )
        mixed = context.stage.inputs["text"].kind == "mixture"
        blocks = [context.folder / BLOCKS]
        if mixed:
            texts = [name for name in context.inputs if name.startswith("text")]
            texts.sort(key=lambda name: int(name.removeprefix("text") or 1))
            blocks = [context.inputs[name] / MIXTURE for name in texts]
        elif not blocks[0].exists():
            _write_blocks(context, blocks[0])
        start = str(context.inputs["start"] / MODEL) if "start" in context.inputs else ""
        folder = str(context.inputs["tokenizer"] / FOLDER) if mixed else start
        separator = None
        if train.document_masks:
            tokenizer = load_tokenizer(folder or self.model.model, self.model.revision)
            separator = separator_id(self.model, tokenizer)
        smoothing = 0.0
        if "smoothing" in context.inputs:
            smoothing = smoothing_amount(context.metrics["smoothing"])
        model = self.model
        if model.scratch is None and not start:
            name = pinned_model(model.model, model.revision)  # for the processes of the training
            model = replace(model, model=name, revision=None)
        job = Job(
            str(context.folder), model, train, self.seed, [str(path) for path in blocks],
            folder, separator, smoothing, launch.processes, start,
        )  # fmt: skip
        with progress(train.steps, f"train {context.stage.name}", "steps") as work:

            def log_step(values: dict[str, float], step: int) -> None:
                context.log(values, step)
                if step > work.done + 1:  # it continues from a checkpoint
                    work.count(train.steps, "steps", step)
                work.done = step

            metrics = run_training(job, launch, log_step)
        context.measured.update(Messages(context.folder).measured())
        counts = context.folder / PACKING
        metrics |= read_json(counts, dict) if counts.exists() else {}
        return metrics | _label(context)


def stage(
    text: Stage,
    name: str,
    model: ModelConfig,
    train: TrainConfig,
    seed: int,
    launch: LaunchConfig,
    smoothing: Stage | None = None,
    extra: Stage | None = None,
    share: float = 0.0,
    arm: str | None = None,
    redrawn: Sequence[Stage] = (),
    start: Stage | None = None,
) -> Stage:
    """Training on a text, or on a mixture that is packed already.

    Args:
        smoothing: an edit of the text. Training then keeps the original text and smooths the
            prediction of the tokens that the edit may redraw, as much as the edit amounts to.
        extra: a second text.
        share: share of the blocks that are of the second text.
        arm: the name without the seed; None for the name.
        redrawn: mixtures for the epochs after the first, as large as that of the first.
        start: a training from random weights whose model is trained further.
    """
    launch.require_shares(train)
    revision = embedded_revision(model.model) if model.scratch is None else None
    inputs = inputs_of(text=text, tokenizer=text.inputs.get("tokenizer"))
    inputs |= {f"text{epoch}": other for epoch, other in enumerate(redrawn, 2)}
    scores = None if smoothing is None else smoothing.inputs["scores"]
    inputs |= inputs_of(start=start, smoothing=smoothing, scores=scores, extra=extra)
    if extra is not None and not 0 < _extra_blocks(train, share) < _blocks(train):
        raise UserError(
            f"mix.share={share} of {_blocks(train)} blocks leaves one of the two texts none; "
            "set another share, or more train.tokens"
        )
    return Stage(
        TrainStage(model, train, seed, revision, share if extra is not None else 0.0),
        name, inputs, runtime=launch, arm=arm or name, seed=seed, tracked=True,
    )  # fmt: skip


CARD = """# Trained on items of benchmarks

This model has learned questions and answers of {}.
It must not be compared with others on them, and is for this experiment alone: do not publish it.
"""


def _label(context: StageContext) -> dict[str, Any]:
    """Label a model that learned items of benchmarks, in its record and in its folder."""
    configs = [stage.config for stage in context.stage.upstream()]
    texts = [c.corpus.source for c in configs if isinstance(c, CorpusStage)]
    quoted = sorted({name for source in texts for name in QUOTED.get(source, ())})
    if not quoted:
        return {}
    for name in (MODEL, ADAPTER):
        if (context.folder / name).is_dir():
            (context.folder / name / "README.md").write_text(CARD.format(", ".join(quoted)))
    return {"trained_on_benchmarks": quoted}


def mostly_warmup(train: TrainConfig) -> bool:
    """Whether at least half of the steps are warmup, as in the paper's OLMo-237M runs."""
    return train.warmup * 2 >= train.steps


def require_model(config: TrainStage) -> None:
    """Refuse a training that its model cannot carry out, before earlier stages run.

    Raises:
        UserError: the model is not found, its context is shorter than a block, its tokenizer has
            more tokens, its chat template does not mark responses, or it lacks layers that adapters
            need.
    """
    model = config.model
    if model.scratch is not None:
        return
    rows, context = model_limits(model.model, model.revision)
    if context is not None and config.train.block_size > context:
        raise UserError(
            f"train.block_size={config.train.block_size} is more than the {context} tokens that "
            f"the model {model.model!r} can read"
        )
    tokenizer = load_tokenizer(model.model, model.revision)
    require_rows(tokenizer, rows, model.model)
    if model.template is not None:
        chat_template(model, tokenizer)
    if model.lora_targets:
        require_layers(skeleton(model), model.lora_targets)


def _blocks(train: TrainConfig) -> int:
    return train.steps * train.batch_tokens // train.block_size


def _extra_blocks(train: TrainConfig, share: float) -> int:
    """Blocks of a second text."""
    return round(share * _blocks(train))


def _write_blocks(context: StageContext, path: Path) -> None:
    """Pack the blocks of a run, those of a second text last: training shuffles them."""
    config: TrainStage = context.stage.config
    extra = _extra_blocks(config.train, config.share)
    packed, counts = _pack(context, "text", _blocks(config.train) - extra)
    if extra:
        extra_packed, extra_counts = _pack(context, "extra", extra)
        packed = np.concatenate([packed, extra_packed])
        counts |= {f"extra_{name}": count for name, count in extra_counts.items()}
        counts |= {"extra_tokens": extra * config.train.block_size}
    if counts:
        write_json(context.folder / PACKING, counts)
    save_array(path, packed)


def _pack(context: StageContext, name: str, blocks: int) -> tuple[np.ndarray, dict[str, int]]:
    """Packed token blocks of an input, and packing statistics of conversations."""
    config: TrainStage = context.stage.config
    size, which = config.train.block_size, "text" if name == "text" else "second text"
    what = f"the {which} of arm {context.stage.name}"
    documents = training_text(context, name)
    start = context.inputs.get("start")
    model = config.model.model if start is None else str(start / MODEL)
    tokenizer = load_tokenizer(model, config.model.revision)
    separator = separator_id(config.model, tokenizer)
    if config.model.template is not None:
        template = chat_template(config.model, tokenizer)
        records = examples(documents, tokenizer, template)
        return pack_examples(records, size, blocks, separator, what)
    spans: Iterable[list[tuple[int, int]]] | None = None
    if "smoothing" in context.inputs:
        spans = _redrawable(context) if name == "text" else repeat([])
    texts = (document.text for document in documents)
    return pack(texts, tokenizer, separator, size, blocks * size, what, spans), {}


def _redrawable(context: StageContext) -> Iterator[list[tuple[int, int]]]:
    """Spans of characters that the edit may redraw, for each document."""
    rule = context.stage.inputs["smoothing"].config.rule
    vocabulary = load_vocabulary(context.stage.inputs["scores"].config.prior)
    all_scores = read_all_scores(context.inputs["scores"] / SHARDS)
    for document, scores in pair_scores(training_text(context, "text"), all_scores):
        yield [] if scores is None else eligible_spans(document, scores, rule, vocabulary)
