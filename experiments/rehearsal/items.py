"""Stand-ins for items of the AdaptLLM tasks, in the format of the hub."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

OPTIONS = {
    "FPB": ["Negative", "Neutral", "Positive"],
    "FiQA_SA": ["Negative", "Neutral", "Positive"],
    "Headline": ["No", "Yes"],
    "ChemProt": ["agonist", "a substrate of the enzyme that is measured", "none"],
    "MQP": ["No", "Yes"],
    "PubMedQA": ["No", "Maybe", "Yes"],
    "RCT": ["Background", "Objective", "Methods", "Results", "Conclusions"],
    "USMLE": ["Aspirin", "Insulin", "Rest", "Surgery"],
}
"""Answers by task; ChemProt has thirteen on the hub."""

LABELS = {"NER": "vitamin (CHEM), sclerosis (DIS)", "ConvFinQA": "12.5"}
"""Answers of tasks that ask for text."""

WORDS = (
    "Vitamin D levels were measured in patients with multiple sclerosis; quality of life improved."
)
CLASSES = 9
"""Classes of questions in Headline."""


def write_adaptllm_items(folder: Path, names: Sequence[str] = (*OPTIONS, *LABELS)) -> None:
    """Write ``NAME/test.jsonl`` for every task, of words in a random order."""
    rng = random.Random(0)
    for name in names:
        rows = _choices(name, rng) if name in OPTIONS else _questions(name)
        (folder / name).mkdir(parents=True)
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / name / "test.jsonl").write_text(text)


def _choices(name: str, rng: random.Random) -> list[dict[str, Any]]:
    options, rows = OPTIONS[name], []
    for number in range(2 * CLASSES):
        text = " ".join(rng.choices(WORDS.split(), k=12))
        question_class = {"class_id": number % CLASSES} if name == "Headline" else {}
        rows.append(
            {"id": number, "input": f"{text}\nQuestion: {number}?\nAnswer:", "options": options,
             "gold_index": rng.randrange(len(options))} | question_class
        )  # fmt: skip
    return rows


def _questions(name: str) -> list[dict[str, Any]]:
    return [{"id": i, "input": f"Text {i}.\nAnswer:", "label": LABELS[name]} for i in range(3)]
