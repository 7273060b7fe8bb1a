"""How a table is laid out: blocks of rows and columns, and which experiment fills them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from experiments.analysis.metrics import Metric

PAPER, EMBEDDED = SCALES = ("paper", "embedded")


OLMO: dict[str, Any] = {
    "train.model.model": "allenai/OLMo-1B-hf",
    "train.train.tokens": 1_000_000_000,
}
LLAMA: dict[str, Any] = {"train.model.model": "meta-llama/Meta-Llama-3-8B"}
LLAMA_CPT = {**LLAMA, "train.train.tokens": 1_000_000_000}
EMBEDDED_TOKENS = 1_155_072
"""Tokens of a training at the embedded scale: four epochs of 288,768."""
EMBEDDED_SIZE: dict[str, Any] = {"train.train.tokens": EMBEDDED_TOKENS}
WHOLE: dict[str, Any] = {"evaluate.evaluation.limits": {}}
PINS: dict[str, dict[str, Any]] = {
    name: {**size, **WHOLE}
    for name, size in {
        "paper/cpt_bio": OLMO, "paper/cpt_finance": OLMO, "paper/cpt_math": OLMO,
        "paper/cpt_bio_llama3": LLAMA_CPT, "paper/cpt_finance_llama3": LLAMA_CPT,
        "paper/sft_natural_instructions": LLAMA, "paper/sft_cot": LLAMA,
        "paper/sft_flan_v2": LLAMA, "paper/sft_oasst1": LLAMA, "paper/sft_oss_instruct": LLAMA,
        "paper/sft_evol_instruct": LLAMA, "paper/sft_generations": LLAMA,
        "paper/pretrain_gpt2": {
            "train.model.scratch.width": 768, "train.model.scratch.layers": 12,
        },
        "paper/pretrain_olmo237m": {"train.model.scratch.width": 2048},
        "paper/selection_olmo237m": {"train.model.scratch.width": 2048},
        "paper/pretrain_toedit": {
            "train.model.scratch.width": 2048, "train.model.scratch.layers": 16,
        },
    }.items()
}  # fmt: skip
PINS |= dict.fromkeys(("pretrain_ratio", "pretrain_selection", "pretrain_toedit"), EMBEDDED_SIZE)
"""What a run must hold to stand in a table; a smaller one, as for a first look, is listed in the
ledger alone."""


@dataclass(frozen=True)
class Column:
    """A column of a block.

    Attributes:
        label: above it.
        metric: what it holds.
        printed: the column of the printed table beside it; None for none.
        averaged: whether the block's average counts it.
    """

    label: str
    metric: Metric
    printed: str | None = None
    averaged: bool = True


@dataclass(frozen=True)
class Row:
    """A row of a block.

    Attributes:
        label: before it.
        arm: the arm of the experiment, or the name of the stage where it belongs to none.
        printed: keys of the printed row beside it.
        where: what the configurations of the arm and of all it rests on must hold, by
            ``kind.field``; a run with other settings does not count.
        experiment: the experiment that has the arm, where it is not the block's.
        options: what to add to the experiment's command for this row.
        also: a further experiment that has the arm.
        checkpoint: tokens of training after which the arm is shown; None for all.
    """

    label: str
    arm: str
    printed: dict[str, str] = field(default_factory=dict)
    where: dict[str, Any] = field(default_factory=dict)
    experiment: str = ""
    options: str = ""
    also: str = ""
    checkpoint: int | None = None


@dataclass(frozen=True)
class Block:
    """A part of a table.

    Attributes:
        name: of the block in the ids of its cells.
        title: above it.
        experiment: what fills it.
        rows: from above.
        columns: from the left.
        reference: label of the row that others are compared with; empty for no comparison.
        published: file of the printed numbers; empty for none.
        pivot: for a file whose rows are our columns: the column that holds our column's name, and
            the one that holds its number.
        average: label of the column of averages; empty for none.
    """

    name: str
    title: str
    experiment: str
    rows: Sequence[Row]
    columns: Sequence[Column]
    reference: str = ""
    published: str = ""
    pivot: tuple[str, str] | None = None
    average: str = "Avg"

    @property
    def where(self) -> dict[str, Any]:
        """What all rows must hold: the size of the experiment's own runs."""
        return PINS.get(self.experiment, {})

    @property
    def scale(self) -> str:
        """``paper`` or ``embedded``."""
        return PAPER if self.experiment.startswith("paper/") else EMBEDDED


@dataclass(frozen=True)
class Table:
    """A table of the paper.

    Attributes:
        number: in the paper.
        title: what it shows.
        blocks: its parts, those of the paper's scale first.
        note: what a reader should know.
    """

    number: int
    title: str
    blocks: Sequence[Block]
    note: str = ""
