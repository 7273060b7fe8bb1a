"""Dataclasses of table layouts: tables, blocks, rows, columns, and required run sizes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from experiments.analysis.metrics import Metric

PAPER, EMBEDDED = SCALES = ("paper", "embedded")

OLMO: dict[str, Any] = {"train.model.model": "allenai/OLMo-1B-hf"}
LLAMA: dict[str, Any] = {"train.model.model": "meta-llama/Meta-Llama-3-8B"}
BILLION = {"train.train.tokens": 1_000_000_000}
MEDICINE = {**BILLION, "train.share": 0.5}
FINANCE = {"train.train.tokens": 1_500_000_000, "train.share": 0.667}
EMBEDDED_TOKENS = 1_155_072
"""Tokens of a training at the embedded scale: four epochs of 288,768."""
ALL_ITEMS: dict[str, Any] = {"evaluate.evaluation.limits": {}}
PINS: dict[str, dict[str, Any]] = {
    name: {**size, **ALL_ITEMS}
    for name, size in {
        "paper/cpt_bio": OLMO | MEDICINE, "paper/cpt_bio_llama3": LLAMA | MEDICINE,
        "paper/cpt_finance": OLMO | FINANCE, "paper/cpt_finance_llama3": LLAMA | FINANCE,
        "paper/cpt_math": OLMO | BILLION,
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
PINS |= {
    name: {"train.train.tokens": EMBEDDED_TOKENS}
    for name in ("pretrain_ratio", "pretrain_selection", "pretrain_toedit")
}
"""Settings that the runs of an experiment need to fill a table; other runs, as short trials, are in
the ledger only."""


@dataclass(frozen=True)
class Column:
    """A column of a block.

    Attributes:
        label: header.
        metric: of its cells.
        printed: the corresponding column of the printed table; None for none.
        averaged: whether the block's average includes it.
    """

    label: str
    metric: Metric
    printed: str | None = None
    averaged: bool = True


@dataclass(frozen=True)
class Row:
    """A row of a block.

    Attributes:
        label: first cell.
        arm: the arm of the experiment, or the name of a stage without an arm.
        printed: keys of the corresponding printed row.
        where: required values in the configurations of the arm and its inputs, by ``kind.field``.
        experiment: that has the arm, if it is not the block's.
        options: to add to the experiment's command for this row.
        also: a further experiment that has the arm.
        checkpoint: tokens of training after which the arm is evaluated; None for all.
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
        name: part of the ids of its cells.
        title: heading.
        experiment: that fills it.
        rows: from top to bottom.
        columns: from left to right.
        reference: label of the row that others are compared with; empty for no comparison.
        published: file of the printed numbers; empty for none.
        pivot: if the rows of that file are our columns: its column with the names of our columns,
            and its column with the numbers.
        average: name of the printed column of averages; empty for no average.
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
        """Settings that all rows need: the size of the experiment's runs."""
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
        title: of the page and the files.
        blocks: its parts, those of the paper's scale first.
        note: remark under the title.
    """

    number: int
    title: str
    blocks: Sequence[Block]
    note: str = ""
