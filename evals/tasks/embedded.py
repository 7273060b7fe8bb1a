"""Data sets of the embedded tasks for lm-eval (``custom_dataset: !function embedded.<task>``)."""

from __future__ import annotations

from typing import Any

from datasets import Dataset, DatasetDict

from evals.items import EMBEDDED_ITEMS


def _dataset(task: str) -> DatasetDict:
    return DatasetDict({"test": Dataset.from_list(EMBEDDED_ITEMS[task]())})


def pubmedqa_yesno(**_: Any) -> DatasetDict:
    """PubMedQA, the items whose answer is yes or no."""
    return _dataset("pubmedqa_yesno")


def medqa_en(**_: Any) -> DatasetDict:
    """MedQA, English, five options."""
    return _dataset("medqa_en")


def medmcqa_en(**_: Any) -> DatasetDict:
    """MedMCQA, four options."""
    return _dataset("medmcqa_en")


def piqa_validation(**_: Any) -> DatasetDict:
    """PIQA, validation."""
    return _dataset("piqa_validation")


def arc_easy_validation(**_: Any) -> DatasetDict:
    """ARC-Easy, validation."""
    return _dataset("arc_easy_validation")


def openbookqa_validation(**_: Any) -> DatasetDict:
    """OpenBookQA, validation."""
    return _dataset("openbookqa_validation")


def winogrande_validation(**_: Any) -> DatasetDict:
    """Winogrande, validation."""
    return _dataset("winogrande_validation")


def boolq_validation(**_: Any) -> DatasetDict:
    """BoolQ, validation."""
    return _dataset("boolq_validation")
