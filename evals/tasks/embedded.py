"""Data sets of the embedded tasks for lm-eval (``custom_dataset: !function embedded.<task>``)."""

from functools import cache, partial
from typing import Any

from datasets import Dataset, DatasetDict

from evals.items import EMBEDDED_ITEMS, gsm8k_shots

__all__ = ["gsm8k_shots"]


def _dataset(task: str, **_: Any) -> DatasetDict:
    return _items(task)


@cache  # loaded once for all models that a process evaluates
def _items(task: str) -> DatasetDict:
    return DatasetDict({"test": Dataset.from_list(EMBEDDED_ITEMS[task]())})


# lm-eval looks up a function of this module for each task.
globals().update({task: partial(_dataset, task) for task in EMBEDDED_ITEMS})
