"""The layout of every table of the paper: its blocks, their rows and columns, and experiments.

A block belongs to one scale. Columns of the embedded scale are other tests of other models than the
paper's, so they never share a block with the paper's scale, and the printed numbers next to them
are for orientation only.
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import yaml

from experiments import CONF
from experiments.analysis.metrics import near_certain
from experiments.reports.tables import columns
from experiments.reports.tables.columns import BITS, EMBEDDED_DOMAINS, HUMAN_BITS, tasks
from experiments.reports.tables.layout import EMBEDDED_TOKENS, Block, Column, Row, Table
from experiments.stages.mixture import arm_name
from toedit.rules import PRESETS, EditRule


def _where(rule: EditRule) -> dict[str, Any]:
    """Return the condition of a row that its text was edited by this rule."""
    return {f"edit.rule.{name}": value for name, value in asdict(rule).items()}


RELEASED = _where(PRESETS["released_code"])

EPOCH = 8_403_288_064
"""Tokens of an epoch of ``paper/pretrain_gpt2``."""

MORE_TOKENS = 1_269_760
"""10 % more than a training at the embedded scale, in whole steps."""

STEP_10000 = 2_621_440_000
"""Tokens after 10,000 steps of ``paper/pretrain_toedit``, which the paper prints."""

NAMES = ("Human Data", "25% Synthetic Data", "50% Synthetic Data", "75% Synthetic Data",
         "Synthetic Data")  # fmt: skip
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def _ratios(key: str, printed: Sequence[str], also: str = "") -> list[Row]:
    """Return a row per share of synthetic text; ``printed`` holds the values of column ``key`` of
    the printed table, ``also`` is another experiment that has some of the arms."""
    rows = zip(NAMES, SHARES, printed, strict=True)
    return [Row(name, arm_name(share), {key: label}, also=also) for name, share, label in rows]


def _epochs(key: str, kinds: dict[str, float]) -> list[Row]:
    """Return rows of shares of synthetic text after one to five epochs."""
    rows = []
    for kind, ratio in kinds.items():
        for epoch in range(1, 6):
            after = EPOCH * epoch if epoch < 5 else None
            label = f"{kind} {8.4 * epoch:.4g}B"
            keys = {key: kind, "epochs": str(epoch)}
            rows.append(Row(label, arm_name(ratio), keys, checkpoint=after))
    return rows


def _embedded_epochs(kinds: dict[str, float]) -> list[Row]:
    """Return rows of shares after one, two and four epochs of the embedded scale."""
    return [
        Row(f"{kind}, {epochs} epoch{'s' * (epochs > 1)}", arm_name(ratio),
            checkpoint=EMBEDDED_TOKENS // 4 * epochs if epochs < 4 else None)
        for kind, ratio in kinds.items()
        for epochs in (1, 2, 4)
    ]  # fmt: skip


def _selections(scale_options: dict[str, tuple[str, dict[str, Any]]], experiment: str) -> list[Row]:
    """Return rows of synthetic text selected by four methods, for each number of documents."""
    methods = {"dsir": "DSIR", "education": "Edu Classifier", "perplexity": "PPL Filter",
               "density": "Density Sampling"}  # fmt: skip
    return [
        Row(f"{label}{size}", arm, {"synthetic_data_ratio": f"{label}{size or ' (10M)'}"}, where,
            experiment, options)
        for arm, label in methods.items()
        for size, (options, where) in scale_options.items()
    ]  # fmt: skip


def _cpt(
    name: str, model: str, experiment: str, chosen: list[Column], keys: dict[str, str]
) -> Block:
    """Return a block with the base model, source text and ToEdit (table 3)."""
    rows = [
        Row("base", "base", {"row": "base", **keys}),
        Row("CPT", "source", {"row": "CPT", **keys}),
        Row("ToEdit", "edited", {"row": "ToEdit", **keys}, RELEASED),
    ]
    subject = name.partition("-")[0]
    return Block(name, f"{subject.capitalize()}, {model}", experiment, rows, chosen, "CPT",
                 f"table3_{subject}")  # fmt: skip


def _sft(name: str, title: str, experiment: str, chosen: list[Column], dataset: str) -> Block:
    """Return a block with source text and ToEdit (table 4)."""
    rows = [
        Row("Llama-3" if experiment.startswith("paper/") else "source", "source",
            {"row": "Llama-3", "dataset": dataset}),
        Row("ToEdit", "edited", {"row": "ToEdit", "dataset": dataset}, RELEASED),
    ]  # fmt: skip
    code = dataset in ("OSS-Inst.", "Evol-Ins.")
    file = "table4_code_reasoning" if code else "table4_instruction_tuning"
    if not experiment.startswith("paper/"):
        rows.insert(0, Row("base", "base"))
    return Block(name, title, experiment, rows, chosen, rows[-2].label, file)


def _rule(label: str, key: str, options: str, **changed: Any) -> Row:
    """Return a row of the rule of the authors' code with some fields changed (tables 5, 7, 8)."""
    where = _where(replace(PRESETS["released_code"], **changed))
    return Row(label, "edited", {key: label}, where, options=options)


def _ablation(number: int, name: str, experiment: str, rows: list[Row], chosen: list[Column],
              options: str = "") -> Block:  # fmt: skip
    """Return a block that compares editing rules on one text (tables 5, 7 and 8)."""
    rows = [replace(row, options=f"{options} {row.options}".strip()) for row in rows]
    models = {"paper/cpt_bio": "OLMo-1B", "cpt_bio": SMALL}
    title = f"Biomedicine, {models.get(experiment, GPT2)}"
    return Block(name, title, experiment, rows, chosen, rows[0].label, f"table{number}",
                 average="Avg" if number == 5 else "")  # fmt: skip


def _shares(name: str, title: str, experiment: str, line: str) -> Block:
    """Return a block of the near-certain tokens of repeatedly edited text (table 15)."""
    rows = [
        Row(label, f"{line}{number}", {"generation": label},
            {"certain.threshold": 0.99, "certain.strict": True})
        for number, label in enumerate(("Gen 1 (source)", "Gen 2", "Gen 3"))
    ]  # fmt: skip
    chosen = [Column("p > 0.99", near_certain(), "percentage")]
    if not experiment.startswith("paper/"):
        responses = near_certain("response_certain", "response_tokens")
        chosen.append(Column("p > 0.99, responses", responses))
    return Block(name, title, experiment, rows, chosen, rows[0].label, "table15", average="")


def _generations() -> list[Row]:
    """Return rows of models of text that was edited zero, one and two times (table 16)."""
    return [
        Row(f"Gen {n}", f"generation{n}", {"row": f"Gen {n}"}, RELEASED if n else {})
        for n in range(3)
    ]


SMALL = "SmolLM2-135M-Instruct"
GPT2 = "GPT-2 of 4 layers (2.6M parameters)"


def _threshold(label: str, name: str) -> Row:
    rule = yaml.safe_load((CONF / "edit" / "table5" / f"{name}.yaml").read_text(encoding="utf-8"))
    where = _where(EditRule(**rule))
    return Row(label, "edited", {"condition": label}, where, options="+sweep=threshold")


THRESHOLDS = [
    _threshold("p >= 0.99", "p_ge_99"), _threshold("p >= 0.999", "p_ge_999"),
    _threshold("p <= 0.1", "p_le_10"), _threshold("p <= 0.01", "p_le_1"),
    _threshold("p <= 0.001", "p_le_01"),
]  # fmt: skip
SAMPLERS = [
    _rule("Top-k", "strategy", "+sweep=sampler"),
    _rule("Top-p", "strategy", "+sweep=sampler", sampler="top_p"),
    _rule("Rejection Sampling", "strategy", "+sweep=sampler", sampler="rejection"),
]
CANDIDATES = [_rule(str(k), "k", "+sweep=k", k=k) for k in (8, 64)]

EPOCHS_NOTE = (
    "Embedded scale: an epoch is 288,768 tokens; after one and two the learning rate is still on "
    "its way down to that of the end."
)
RATIO_KEYS = ("0%", "25%", "50%", "75%", "100%")
BIOMEDICINE = tasks("biomedicine_adaptllm", columns.BIOMEDICINE)
SMALL_BIOMEDICINE = [*tasks("biomedicine_embedded", columns.BIOMEDICINE), BITS]
FINANCE = tasks("finance_adaptllm", columns.FINANCE)
INSTRUCT, CODE = tasks("instruct_hub", columns.INSTRUCT), tasks("code_hub", columns.MATH)
TABLE9 = tasks("commonsense_hub", columns.COMMONSENSE, without=["truthfulqa_mc1"])
TABLE11 = tasks("commonsense_hub", columns.COMMONSENSE, without=["truthfulqa_gen", "boolq"])
SMALL_COMMONSENSE = tasks("commonsense_embedded", columns.COMMONSENSE)
PALOMA, M2D2 = (columns.domains(names, "Paloma") for names in (columns.PALOMA, columns.M2D2))
PILE = columns.domains(columns.PILE, "Pile")
ABLATION = tasks("biomedicine_hub", columns.ABLATION)
SMALL_ABLATION = [*tasks("biomedicine_embedded", columns.ABLATION), BITS]

_TABLES = (
    Table(1, "Perplexity of held-out text by share of synthetic text", (
        Block("block1", "GPT-2 124M, Pile, first half", "paper/pretrain_gpt2",
              _ratios("row", ("Human data", *NAMES[1:])), PILE[:11], NAMES[0], "table1_block1"),
        Block("block2", "GPT-2 124M, Pile, second half", "paper/pretrain_gpt2",
              _ratios("row", ("Human data", *NAMES[1:])), PILE[11:], NAMES[0], "table1_block2"),
        Block("embedded", f"{GPT2}, domains of the embedded data", "pretrain_ratio",
              _ratios("row", ("Human data", *NAMES[1:])), EMBEDDED_DOMAINS, NAMES[0]),
    )),
    Table(2, "Pre-training on source and on edited text", (
        Block("reasoning", "OLMo-1B from scratch", "paper/pretrain_toedit",
              [Row("OLMo-1B (PT)", "source", {"row": "OLMo-1B (PT)"}, checkpoint=STEP_10000),
               Row("ToEdit", "edited", {"row": "ToEdit"}, RELEASED, checkpoint=STEP_10000),
               Row("source, step 20,000", "source", checkpoint=2 * STEP_10000),
               Row("ToEdit, step 20,000", "edited", where=RELEASED, checkpoint=2 * STEP_10000),
               Row("source, at the end", "source"),
               Row("ToEdit, at the end", "edited", where=RELEASED)],
              tasks("reasoning_hub", columns.REASONING), "OLMo-1B (PT)", "table2"),
        Block("embedded", f"{GPT2} from scratch", "pretrain_toedit",
              [Row("source", "source", {"row": "OLMo-1B (PT)"}),
               Row("ToEdit", "edited", {"row": "ToEdit"}, RELEASED),
               Row("ToEdit, every epoch", "redrawn", where=RELEASED,
                   options="controls=[redrawn]"),
               Row("p >= 0.9", "edited", where=RELEASED | {"edit.rule.threshold": 0.9},
                   options="edit.threshold=0.9 controls=[]"),
               Row("p >= 0.5", "edited", where=RELEASED | {"edit.rule.threshold": 0.5},
                   options="edit.threshold=0.5 controls=[]"),
               Row("forced", "edited", where=_where(PRESETS["forced"]),
                   options="edit=forced controls=[]"),
               Row("random edits", "random_edit", where=RELEASED,
                   options="controls=[random_edit]"),
               Row("source, 10 % more tokens", "source", where={"train.train.tokens": MORE_TOKENS},
                   options=f"train.tokens={MORE_TOKENS} controls=[]")],
              [*tasks("commonsense_embedded", columns.REASONING), HUMAN_BITS], "source", "table2"),
    )),
    Table(3, "Continual pre-training on source and on edited text", (
        _cpt("biomedicine", "OLMo-1B", "paper/cpt_bio", BIOMEDICINE, {"base_model": "OLMo-1B"}),
        _cpt("biomedicine-llama3", "Llama-3-8B", "paper/cpt_bio_llama3", BIOMEDICINE,
             {"base_model": "Llama-3-8B"}),
        _cpt("finance", "OLMo-1B", "paper/cpt_finance", FINANCE, {"base_model": "OLMo-1B"}),
        _cpt("finance-llama3", "Llama-3-8B", "paper/cpt_finance_llama3", FINANCE,
             {"base_model": "Llama-3-8B"}),
        _cpt("math", "OLMo-1B", "paper/cpt_math", tasks("math_hub", columns.MATH), {}),
        _cpt("biomedicine-embedded", SMALL, "cpt_bio", SMALL_BIOMEDICINE,
             {"base_model": "OLMo-1B"}),
        _cpt("biomedicine-gpt2", f"{GPT2}, edited by {SMALL}", "cpt_bio_gpt2",
             [columns.BIOMEDICAL_BITS], {"base_model": "OLMo-1B"}),
        _cpt("finance-embedded", f"{SMALL}, a text of yours", "cpt_finance", [BITS],
             {"base_model": "OLMo-1B"}),
        _cpt("math-embedded", SMALL, "cpt_math",
             [*tasks("math_embedded", columns.MATH), BITS], {}),
    )),
    Table(4, "Fine-tuning on source and on edited responses", (
        _sft("natural-instructions", "Natural-Instructions, Llama-3-8B",
             "paper/sft_natural_instructions", INSTRUCT, "Natural Ins."),
        _sft("cot", "CoT, Llama-3-8B", "paper/sft_cot", INSTRUCT, "CoT"),
        _sft("flan-v2", "FLAN v2, Llama-3-8B", "paper/sft_flan_v2", INSTRUCT, "FLANv2"),
        _sft("oasst1", "Open Assistant 1, Llama-3-8B", "paper/sft_oasst1", INSTRUCT,
             "Open Assist."),
        _sft("oss-instruct", "OSS-Instruct-75K, Llama-3-8B", "paper/sft_oss_instruct", CODE,
             "OSS-Inst."),
        _sft("evol-instruct", "Evol-Instruct-110K, Llama-3-8B", "paper/sft_evol_instruct", CODE,
             "Evol-Ins."),
        _sft("instruct-embedded", f"Instructions, {SMALL} (printed: Natural-Instructions)",
             "sft_instruct", [*tasks("instruct_embedded", columns.INSTRUCT), BITS],
             "Natural Ins."),
        _sft("code-embedded", f"Solutions, {SMALL} (printed: OSS-Instruct)", "sft_code",
             [*tasks("code_embedded", columns.MATH), BITS], "OSS-Inst."),
    )),
    Table(5, "Which tokens are edited", (
        _ablation(5, "biomedicine", "paper/cpt_bio", THRESHOLDS, BIOMEDICINE),
        _ablation(5, "embedded", "cpt_bio", THRESHOLDS, SMALL_BIOMEDICINE),
        _ablation(5, "embedded-gpt2", "cpt_bio_gpt2", THRESHOLDS, [columns.BIOMEDICAL_BITS],
                  "score.below=1.0 controls=[]"),
    ), "Version 1 of the paper has p <= 0.001 too; version 3 leaves it out."),
    Table(6, "Token probabilities under a prior", (
        Block("dolma", "Sample of Dolma", "paper/statistics",
              [Row("Qwen-0.5B-Instruct", "human-Qwen2-0.5B-Instruct")], columns.BINS,
              published="table6", pivot=("interval_low", "percent"), average=""),
        Block("embedded", "Human text of the embedded data", "statistics",
              [Row("SmolLM2-135M-Instruct", "human-SmolLM2")], columns.BINS,
              published="table6", pivot=("interval_low", "percent"), average=""),
    ), "The shape is what compares: a U, with its ends below 0.1 and above 0.9."),
    Table(7, "How an edited token is drawn", (
        _ablation(7, "biomedicine", "paper/cpt_bio", SAMPLERS, ABLATION, "eval=biomedicine_hub"),
        _ablation(7, "embedded", "cpt_bio", SAMPLERS, SMALL_ABLATION),
    )),
    Table(8, "How many candidates an edited token is drawn from", (
        _ablation(8, "biomedicine", "paper/cpt_bio", CANDIDATES, ABLATION, "eval=biomedicine_hub"),
        _ablation(8, "embedded", "cpt_bio", CANDIDATES, SMALL_ABLATION),
    )),
    Table(9, "Benchmarks by share of synthetic text", (
        Block("gpt2", "GPT-2 124M", "paper/pretrain_gpt2", _ratios("row", NAMES), TABLE9,
              NAMES[0], "table9"),
        Block("embedded", GPT2, "pretrain_ratio", _ratios("row", NAMES), SMALL_COMMONSENSE,
              NAMES[0], "table9"),
    )),
    Table(11, "Benchmarks by share of synthetic text, second model", (
        Block("olmo-237m", "OLMo-237M", "paper/pretrain_olmo237m", _ratios("row", NAMES),
              TABLE11, NAMES[0], "table11"),
        Block("embedded", GPT2, "pretrain_ratio", _ratios("row", NAMES),
              [c for c in SMALL_COMMONSENSE if c.printed != "BoolQ"], NAMES[0], "table11"),
    ), "The embedded scale has one model from scratch: table 9 without BoolQ."),
    Table(13, "Perplexity of mixtures after one to five epochs", (
        Block("gpt2", "GPT-2 124M, Paloma", "paper/pretrain_gpt2",
              _epochs("synthetic_data_ratio", {"25%": 0.25, "50%": 0.5, "75%": 0.75}), PALOMA,
              published="table13", average=""),
        Block("embedded", f"{GPT2}, domains of the embedded data", "pretrain_ratio",
              _embedded_epochs({"25%": 0.25, "50%": 0.5, "75%": 0.75}), EMBEDDED_DOMAINS),
    ), EPOCHS_NOTE),
    Table(14, "Selected synthetic text", (
        Block("olmo-237m", "OLMo-237M, Paloma", "paper/pretrain_olmo237m",
              [*_ratios("synthetic_data_ratio", RATIO_KEYS, "paper/selection_olmo237m"),
               *_selections({
                   " (1M)": ("selection.documents=1_000_000",
                             {"select.selection.documents": 1_000_000}),
                   " (10M)": ("", {"select.selection.documents": 10_000_000}),
               }, "paper/selection_olmo237m")],
              [*PALOMA, *M2D2], NAMES[-1], "table14", average=""),
        Block("embedded", f"{GPT2}, domains of the embedded data", "pretrain_ratio",
              [*_ratios("synthetic_data_ratio", RATIO_KEYS, "pretrain_selection"),
               *_selections({"": ("", {})}, "pretrain_selection"),
               Row("random half", "random", experiment="pretrain_selection")],
              EMBEDDED_DOMAINS, NAMES[-1]),
    )),
    Table(15, "Near-certain tokens as editing is repeated", (
        _shares("natural-instructions", "Natural-Instructions", "paper/sft_generations",
                "measured"),
        _shares("embedded", "Explanations of the embedded data", "sft_generations", "generation"),
        _shares("embedded-questions", "Questions of the embedded data", "sft_generations",
                "measured"),
    )),
    Table(16, "Fine-tuning on text that was edited again", (
        Block("cot", "CoT, Llama-3-8B", "paper/sft_generations",
              _generations(),
              INSTRUCT, "Gen 0", "table16"),
        Block("embedded", f"Explanations, {SMALL}", "sft_generations",
              [Row("base", "base"), *_generations()],
              [*tasks("instruct_embedded", columns.INSTRUCT), BITS], "Gen 0", "table16"),
    )),
    Table(17, "Perplexity of human and of synthetic text after one to five epochs", (
        Block("gpt2", "GPT-2 124M, Paloma", "paper/pretrain_gpt2",
              _epochs("data_type", {"Human Data (Dolma)": 0.0, "Synthetic Data (Cosmopedia)": 1.0}),
              PALOMA, published="table17", average=""),
        Block("embedded", f"{GPT2}, domains of the embedded data", "pretrain_ratio",
              _embedded_epochs({"Human Data": 0.0, "Synthetic Data": 1.0}), EMBEDDED_DOMAINS),
    ), EPOCHS_NOTE),
)  # fmt: skip

TABLES = {table.number: table for table in _TABLES}
"""Tables by number; :mod:`experiments.reports.tables.text_tables` has 10, 12 and 18."""
