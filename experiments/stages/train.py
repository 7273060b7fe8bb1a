"""A model trained on one arm's text."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from evals.instructions import QUOTED
from experiments.config import ModelConfig, TrainConfig
from experiments.config.launch import LaunchConfig
from experiments.stage import Stage, StageConfig, StageContext
from experiments.stages import corpus
from experiments.stages.corpus import text_folder
from experiments.stages.mixture import MIXTURE
from experiments.stages.tokenizer import FOLDER
from experiments.training import BLOCKS, CHECKPOINTS, JOB, LOG, PACKING, PROGRESS, SCRIPT
from toedit.corpora import WORK
from toedit.corpora.files import read_json, save_array, write_json
from toedit.corpora.sources import local_documents
from toedit.document import Document
from toedit.errors import UserError
from toedit.priors import load_vocabulary
from toedit.priors.loading import embedded_revision, load_tokenizer, model_limits

log = logging.getLogger(__name__)


@dataclass
class TrainStage(
    StageConfig,
    kind="train",
    scratch=(CHECKPOINTS, BLOCKS, JOB, LOG, PACKING, PROGRESS, SCRIPT, WORK),
):
    """A model, how it is trained, the seed of the order of blocks, and the share of blocks that are
    of a second text."""

    model: ModelConfig
    train: TrainConfig
    seed: int = 0
    embedded: str | None = None
    share: float = 0.0

    def run(self, context: StageContext) -> dict[str, Any]:
        """Packs the text and trains; returns steps, tokens and losses."""
        from experiments.training import worker
        from experiments.training.launchers import run_training
        from experiments.training.model import MODEL, separator_id
        from toedit.controls import smoothing_amount

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
        job = worker.Job(
            str(context.folder), self.model, train, self.seed, [str(path) for path in blocks],
            folder, separator, smoothing, launch.processes, start,
        )  # fmt: skip
        trained = run_training(job, launch, context.log)
        counts = context.folder / PACKING
        trained |= read_json(counts) if counts.exists() else {}
        return trained | _label(context)


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
    """Training on a corpus, an edited one, or a mixture that is packed already.

    Args:
        text: what is learned.
        name: of the stage.
        model: the model at its start.
        train: how.
        seed: of the order, and of initial weights.
        launch: how its processes are started.
        smoothing: an edit of the text: it stays as it is, and the prediction of the tokens that the
            edit may redraw is smoothed by what the edit amounts to.
        extra: a second text.
        share: its share of the blocks.
        arm: which model it is, whatever the seed; None for the name.
        redrawn: mixtures for the epochs after the first, as large as that of the first.
        start: a training from random weights whose model is trained further.
    """
    launch.require_shares(train)
    revision = embedded_revision(model.model) if model.scratch is None else None
    inputs = {"text": text, **{k: v for k, v in text.inputs.items() if k == "tokenizer"}}
    inputs |= {f"text{epoch}": other for epoch, other in enumerate(redrawn, 2)}
    if start is not None:
        inputs |= {"start": start}
    if smoothing is not None:
        inputs |= {"smoothing": smoothing, "scores": smoothing.inputs["scores"]}
    if extra is not None:
        inputs |= {"extra": extra}
        if not 0 < _second(train, share) < _blocks(train):
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
    """Labels a model that learned items of benchmarks, in its record and in its folder."""
    from experiments.training.model import ADAPTER, MODEL

    configs = [stage.config for stage in context.stage.upstream()]
    texts = [c.corpus.source for c in configs if isinstance(c, corpus.CorpusStage)]
    quoted = sorted({name for source in texts for name in QUOTED.get(source, ())})
    if not quoted:
        return {}
    for name in (MODEL, ADAPTER):
        if (context.folder / name).is_dir():
            (context.folder / name / "README.md").write_text(CARD.format(", ".join(quoted)))
    return {"trained_on_benchmarks": quoted}


def mostly_warmup(train: TrainConfig) -> bool:
    """Whether half of the steps or more are warmup, as in the paper's OLMo-237M runs."""
    return train.warmup * 2 >= train.steps


def require_model(config: TrainStage) -> None:
    """Refuses a training that its model cannot carry out, before the stages that come first.

    Raises:
        UserError: the model cannot be found, its positions are fewer than a block, its chat
            template marks no responses, or it lacks layers that adapters were asked for.
    """
    from experiments.training.chat import chat_template
    from experiments.training.model import require_layers, skeleton

    model = config.model
    if model.scratch is not None:
        return
    context = model_limits(model.model, model.revision)[1]
    if context is not None and config.train.block_size > context:
        raise UserError(
            f"train.block_size={config.train.block_size} is more than the {context} tokens that "
            f"the model {model.model!r} can read"
        )
    if model.template is not None:
        chat_template(model, load_tokenizer(model.model, model.revision))
    if model.lora_targets:
        require_layers(skeleton(model), model.lora_targets)


def _blocks(train: TrainConfig) -> int:
    return train.steps * train.batch_tokens // train.block_size


def _second(train: TrainConfig, share: float) -> int:
    """Blocks of a second text."""
    return round(share * _blocks(train))


def _write_blocks(context: StageContext, path: Path) -> None:
    """The blocks of a run, those of a second text after the others: training shuffles them."""
    config: TrainStage = context.stage.config
    second = _second(config.train, config.share)
    packed, counts = _pack(context, "text", _blocks(config.train) - second)
    if second:
        more, counts_more = _pack(context, "extra", second)
        packed = np.concatenate([packed, more])
        counts |= {f"extra_{name}": count for name, count in counts_more.items()}
        counts |= {"extra_tokens": second * config.train.block_size}
    if counts:
        write_json(context.folder / PACKING, counts)
    save_array(path, packed)


def _pack(context: StageContext, name: str, blocks: int) -> tuple[np.ndarray, dict[str, int]]:
    """Blocks of an input, and what is to be known of them."""
    from experiments.training.chat import chat_template, examples
    from experiments.training.model import MODEL, separator_id
    from toedit.corpora.packing import pack, pack_examples

    config: TrainStage = context.stage.config
    size, what = config.train.block_size, f"the text of arm {context.stage.name}"
    if name != "text":
        what = f"the second text of arm {context.stage.name}"
    documents = local_documents([text_folder(context.stage.inputs[name], context.inputs[name])])
    start = context.inputs.get("start")
    own = config.model.model if start is None else str(start / MODEL)
    tokenizer = load_tokenizer(own, config.model.revision)
    if config.model.template is not None:
        template = chat_template(config.model, tokenizer)
        padding = separator_id(config.model, tokenizer)
        records = examples(documents, tokenizer, template)
        return pack_examples(records, size, blocks, padding, what)
    spans: Iterable[list[tuple[int, int]]] | None = None
    if "smoothing" in context.inputs:
        spans = _redrawable(context) if name == "text" else repeat([])
    texts = (document.text for document in documents)
    separator = separator_id(config.model, tokenizer)
    return pack(texts, tokenizer, separator, size, blocks * size, what, spans), {}


def _redrawable(context: StageContext) -> Iterator[list[tuple[int, int]]]:
    """Spans of characters that the edit may redraw, document by document."""
    from toedit import pipeline
    from toedit.controls import eligible_spans
    from toedit.corpora.scores import read_scores

    edited = context.stage.inputs["smoothing"].config
    scores = context.stage.inputs["scores"]
    vocabulary = load_vocabulary(scores.config.prior)
    text = context.stage.inputs["text"]
    documents: Iterator[Document] = local_documents([text_folder(text, context.inputs["text"])])
    shards = sorted((context.inputs["scores"] / pipeline.SHARDS).glob("*.parquet"))
    found = (pair for shard in shards for pair in read_scores(shard))
    for document, (identity, scored) in zip(documents, found, strict=True):
        if identity != document.id:
            raise RuntimeError(f"scores of {identity!r} stand where {document.id!r} was expected")
        if scored is None:
            yield []
        else:
            yield eligible_spans(document, scored, edited.rule, vocabulary)
