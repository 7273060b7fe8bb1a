"""Which benchmarks are evaluated together, as data: task, metric, shots and version frozen."""

from __future__ import annotations

from dataclasses import dataclass

from toedit.errors import require_choice


@dataclass(frozen=True)
class BenchmarkTask:
    """One column of a results table.

    Attributes:
        name: lm-eval task.
        label: how tables call it.
        metric: the per-item metric of lm-eval that is shown.
        options: answers an item has, for the random baseline.
        shots: few-shot examples in the prompt.
        embedded: its items come with the embedded data; otherwise from the hub.
        items: items in the whole task.
        prompt_tokens: tokens of an average prompt, for cost estimates.
    """

    name: str
    label: str
    metric: str
    options: int
    shots: int
    embedded: bool
    items: int
    prompt_tokens: int


SUITES: dict[str, tuple[BenchmarkTask, ...]] = {
    "biomedicine_embedded": (
        BenchmarkTask("pubmedqa_yesno", "PubMedQA yes/no", "acc", 2, 0, True, 401, 360),
        BenchmarkTask("medqa_en", "MedQA (5 options)", "acc", 5, 0, True, 1273, 260),
        BenchmarkTask("medmcqa_en", "MedMCQA", "acc", 4, 0, True, 4183, 85),
    ),
    "biomedicine_hub": (
        BenchmarkTask("pubmedqa", "PubMedQA (lm-eval)", "acc", 3, 0, False, 1000, 360),
        BenchmarkTask("medqa_4options", "MedQA (4 options)", "acc_norm", 4, 0, False, 1273, 260),
        BenchmarkTask("medmcqa", "MedMCQA", "acc_norm", 4, 0, False, 4183, 85),
    ),
    "commonsense_embedded": (
        BenchmarkTask("piqa_validation", "PIQA", "acc", 2, 0, True, 1838, 80),
        BenchmarkTask("arc_easy_validation", "ARC-e (validation)", "acc", 4, 0, True, 570, 120),
        BenchmarkTask("openbookqa_validation", "OBQA (validation)", "acc", 4, 0, True, 500, 75),
        BenchmarkTask("winogrande_validation", "Winogrande", "acc", 2, 0, True, 1267, 55),
        BenchmarkTask("boolq_validation", "BoolQ", "acc", 2, 0, True, 3270, 280),
    ),
    # Tables 9 and 11. Which TruthfulQA and which LogiQA the paper ran is not stated; the columns of
    # its tables fit mc1 (817 items) and LogiQA 2.0 (1,572 items).
    "commonsense_hub": (
        BenchmarkTask("truthfulqa_mc1", "TruthfulQA (mc1)", "acc", 5, 0, False, 817, 200),
        BenchmarkTask("logiqa2", "LogiQA 2.0", "acc", 4, 0, False, 1572, 800),
        BenchmarkTask("winogrande", "Winogrande", "acc", 2, 0, False, 1267, 55),
        BenchmarkTask("piqa", "PIQA", "acc", 2, 0, False, 1838, 80),
        BenchmarkTask("arc_easy", "ARC-e", "acc", 4, 0, False, 2376, 120),
        BenchmarkTask("boolq", "BoolQ", "acc", 2, 0, False, 3270, 280),
        BenchmarkTask("openbookqa", "OBQA", "acc", 4, 0, False, 500, 75),
    ),
}


def suite(name: str) -> tuple[BenchmarkTask, ...]:
    """The tasks of a suite.

    Raises:
        UserError: no such suite.
    """
    require_choice("eval.suite", name, SUITES)
    return SUITES[name]
