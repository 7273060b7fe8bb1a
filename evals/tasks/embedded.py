"""Data sets of the embedded tasks for lm-eval (``custom_dataset: !function embedded.<task>``)."""

from functools import cache, partial
from typing import Any

from datasets import Dataset, DatasetDict

from evals.items import EMBEDDED_ITEMS, gsm8k_shots

__all__ = ["gsm8k_shots"]


def _dataset(task: str, **_: Any) -> DatasetDict:
    return _items(task)


@cache  # read once for all the models that a process evaluates
def _items(task: str) -> DatasetDict:
    return DatasetDict({"test": Dataset.from_list(EMBEDDED_ITEMS[task]())})


pubmedqa_yesno = partial(_dataset, "pubmedqa_yesno")
medqa_en = partial(_dataset, "medqa_en")
medmcqa_en = partial(_dataset, "medmcqa_en")
piqa_validation = partial(_dataset, "piqa_validation")
arc_easy_validation = partial(_dataset, "arc_easy_validation")
openbookqa_validation = partial(_dataset, "openbookqa_validation")
winogrande_validation = partial(_dataset, "winogrande_validation")
boolq_validation = partial(_dataset, "boolq_validation")
hellaswag_validation = partial(_dataset, "hellaswag_validation")
social_iqa_validation = partial(_dataset, "social_iqa_validation")
arc_challenge_test = partial(_dataset, "arc_challenge_test")
arc_easy_test = partial(_dataset, "arc_easy_test")
openbookqa_test = partial(_dataset, "openbookqa_test")
mmlu_test = partial(_dataset, "mmlu_test")
gsm8k_held_back = partial(_dataset, "gsm8k_held_back")
math_held_back = partial(_dataset, "math_held_back")
