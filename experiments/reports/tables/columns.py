"""Columns of the tables: benchmarks and held-out text, with their names in the paper."""

from collections.abc import Mapping, Sequence

from evals.suites import suite
from experiments.analysis.metrics import benchmark, bits_per_byte, perplexity, probability_bin
from experiments.reports.tables.layout import Column

BITS = Column("held-out bits/byte", bits_per_byte(), averaged=False)
HUMAN_BITS = Column("human bits/byte", bits_per_byte(("kind", "human")), averaged=False)
BIOMEDICAL_BITS = Column(
    "biomedical bits/byte", bits_per_byte(("kind", "human"), ("domain", "biomedical")),
    averaged=False,
)  # fmt: skip


def tasks(name: str, printed: Mapping[str, str], without: Sequence[str] = ()) -> list[Column]:
    """Return the columns of a suite, without those of some tasks; ``printed`` maps tasks to columns
    of the printed table."""
    return [
        Column(task.label, benchmark(task), printed.get(task.name))
        for task in suite(name)
        if task.name not in without
    ]


REASONING = {
    "piqa": "PIQA", "boolq": "BoolQ", "openbookqa": "OBQA", "arc_challenge": "ARC-c",
    "arc_easy": "ARC-e", "hellaswag": "HellaSwag", "social_iqa": "SIQA", "winogrande": "Winogrande",
    "piqa_validation": "PIQA", "boolq_validation": "BoolQ", "openbookqa_validation": "OBQA",
    "openbookqa_test": "OBQA", "arc_easy_validation": "ARC-e", "arc_easy_test": "ARC-e",
    "arc_challenge_test": "ARC-c", "hellaswag_validation": "HellaSwag",
    "social_iqa_validation": "SIQA", "winogrande_validation": "Winogrande",
}  # fmt: skip
COMMONSENSE = {
    "truthfulqa_gen": "TruthfulQA", "truthfulqa_mc1": "TruthfulQA", "logiqa2_test": "LogiQA",
    "winogrande": "Wino.", "piqa": "PIQA",
    "arc_easy": "ARC-E", "boolq": "BoolQ", "openbookqa": "OBQA", "winogrande_validation": "Wino.",
    "piqa_validation": "PIQA", "arc_easy_validation": "ARC-E", "boolq_validation": "BoolQ",
    "openbookqa_validation": "OBQA",
}  # fmt: skip
BIOMEDICINE = {
    "adaptllm_mqp": "MQP", "adaptllm_chemprot": "ChemProt", "adaptllm_pubmedqa": "PubMedQA",
    "adaptllm_rct": "RCT", "adaptllm_usmle": "USMLE", "pubmedqa_yesno": "PubMedQA",
}  # fmt: skip
FINANCE = {
    "adaptllm_headline": "HeadLine", "adaptllm_fpb": "FPB", "adaptllm_fiqa_sa": "FiQA-SA",
    "adaptllm_convfinqa": "ConvFinQA", "adaptllm_ner": "NER",
}  # fmt: skip
MATH = {
    "arc_challenge": "ARC-c", "gpqa_main_zeroshot": "GPQA", "gsm8k": "GSM8K",
    "hendrycks_math": "MATH", "mmlu": "MMLU", "arc_challenge_test": "ARC-c",
    "gsm8k_held_back": "GSM8K", "math_held_back": "MATH", "mmlu_test": "MMLU",
}  # fmt: skip
INSTRUCT = REASONING | {
    "hellaswag": "HS", "winogrande": "WG", "hellaswag_validation": "HS",
    "winogrande_validation": "WG",
}  # fmt: skip
ABLATION = {
    "adaptllm_pubmedqa": "PubMedQA", "medmcqa": "MedMCQA", "medqa_4options": "MedQA",
    "pubmedqa_yesno": "PubMedQA", "medmcqa_en": "MedMCQA", "medqa_en": "MedQA",
}  # fmt: skip

PILE = {
    "ArXiv": "ArXiv", "BookCorpus2": "Books2", "Books3": "Books3", "DM Mathematics": "Math",
    "Enron Emails": "Enron", "EuroParl": "EuroParl", "FreeLaw": "FreeLaw", "Github": "GitHub",
    "Gutenberg (PG-19)": "PG-19", "HackerNews": "HackerNews", "NIH ExPorter": "NIH",
    "OpenSubtitles": "OpenSubts", "OpenWebText2": "OWT2", "PhilPapers": "Phil",
    "Pile-CC": "Pile-CC", "PubMed Abstracts": "PubMed-A", "PubMed Central": "PubMed-C",
    "StackExchange": "StackEx", "Ubuntu IRC": "Ubuntu", "USPTO Backgrounds": "USPTO",
    "Wikipedia (en)": "Wikipedia", "YoutubeSubtitles": "Youtube",
}  # fmt: skip
"""Domains of the Pile by their names in its validation set, with those of table 1."""

PALOMA = ("Wikitext-103", "RedPajama", "Falcon-RefinedWeb", "c4-en", "mc4-en")
M2D2 = ("M2D2-Wiki", "M2D2-S2ORC")


def domains(names: Mapping[str, str] | Sequence[str], group: str) -> list[Column]:
    """Return columns of the perplexity by domain.

    Args:
        names: domains; as a mapping, their names in the paper by those in the held-out set.
        group: the held-out set.
    """
    printed = names if isinstance(names, Mapping) else {name: name for name in names}
    return [
        Column(label, perplexity(("domain", name), ("set", group)), label)
        for name, label in printed.items()
    ]


EMBEDDED_DOMAINS = [
    *(
        Column(name, perplexity(("domain", name), ("kind", "human")))
        for name in ("biomedical", "papers", "wikipedia", "fiction", "news", "exams", "children")
    ),
    Column("synthetic text", perplexity(("kind", "synthetic")), averaged=False),
]
"""Held-out text of the embedded scale: four domains of the mixtures, three that are in none, and
synthetic text."""

BINS = [
    Column(f"{n / 10:.1f}–{(n + 1) / 10:.1f}", probability_bin(n), f"{n / 10:.1f}")
    for n in range(10)
]
"""Tenths of token probability."""
