"""The ten AdaptLLM domain tasks for lm-eval (``custom_dataset: !function adaptllm.<task>``).

Prompts include their shots. Options are compared by their mean log-likelihood per token, which
needs the model's tokenizer: that of ``--model_args pretrained=…`` (or ``tokenizer=…``), which
lm-eval passes as metadata. ``--metadata '{"adaptllm": "FOLDER"}'`` reads
``FOLDER/<configuration>/test.jsonl`` instead of the hub.
"""

from functools import partial
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict, load_dataset

from evals import scoring
from evals.suites import FINANCE, MEDICINE
from toedit.corpora.sources import loading_errors
from toedit.errors import UserError, short
from toedit.priors.loading import load_tokenizer
from toedit.user_paths import user_path

COLUMNS = {
    "Headline": ("input", "options", "gold_index", "class_id"),
    "NER": ("input", "label"),
    "ConvFinQA": ("input", "label"),
}
CHOICE = ("input", "options", "gold_index")


def _rows(source: str, name: str, metadata: dict[str, Any]) -> Dataset:
    folder = metadata.get("adaptllm")
    path = None if folder is None else Path(user_path(folder)) / name / "test.jsonl"
    if path is not None and not path.is_file():
        raise UserError(f"the items of {name} are not there: {str(path)!r} (hub: {source})")
    try:
        if path is not None:
            rows = load_dataset("json", data_files=str(path), split="train")
        else:
            dataset, _, revision = source.partition("@")
            rows = load_dataset(dataset, name, split="test", revision=revision)
    except loading_errors() as error:
        raise UserError(
            f"cannot load {name} of {source} ({short(error)}); without a network give a folder: "
            """metadata {"adaptllm": "FOLDER"} with FOLDER/""" + f"{name}/test.jsonl"
        ) from error
    _check(rows, name)
    return rows


def _check(rows: Dataset, name: str) -> None:
    """Refuse items that cannot be scored."""
    missing = set(COLUMNS.get(name, CHOICE)) - set(rows.column_names)
    if missing or not len(rows):
        what = f"no column {min(missing)!r}" if missing else "no item"
        raise UserError(f"the items of {name} have {what}; columns: {', '.join(rows.column_names)}")
    if "options" in rows.column_names:
        for number, (options, gold) in enumerate(
            zip(rows["options"], rows["gold_index"], strict=True)
        ):
            if not options or not 0 <= gold < len(options):
                raise UserError(
                    f"item {number} of {name} has gold_index {gold} and {len(options)} options"
                )
    if name == "Headline" and set(rows["class_id"]) != set(range(scoring.HEADLINE_CLASSES)):
        classes = ", ".join(map(str, sorted(set(rows["class_id"]))))
        raise UserError(f"the items of Headline have the class_id {classes}; needed: 0 to 8")


def _choice(source: str, name: str, **metadata: Any) -> DatasetDict:
    """Load items with the number of tokens of each option, unless only their texts are needed."""
    if metadata.get("texts_only"):
        return _generation(source, name, **metadata)
    model = metadata.get("tokenizer") or metadata.get("pretrained")
    if not model:
        raise UserError(
            f"{name} compares options by token and needs the model's tokenizer: "
            "--model_args pretrained=MODEL"
        )
    tokenizer = load_tokenizer(model, metadata.get("revision"))

    def counted(row: dict[str, Any]) -> dict[str, Any]:
        prompt = len(tokenizer(row["input"])["input_ids"])
        totals = [len(tokenizer(f"{row['input']} {o}")["input_ids"]) for o in row["options"]]
        return {"option_tokens": [max(1, total - prompt) for total in totals]}

    return DatasetDict({"test": _rows(source, name, metadata).map(counted)})


def _generation(source: str, name: str, **metadata: Any) -> DatasetDict:
    return DatasetDict({"test": _rows(source, name, metadata)})


mqp = partial(_choice, MEDICINE, "MQP")
pubmedqa = partial(_choice, MEDICINE, "PubMedQA")
usmle = partial(_choice, MEDICINE, "USMLE")
chemprot = partial(_choice, MEDICINE, "ChemProt")
rct = partial(_choice, MEDICINE, "RCT")
fpb = partial(_choice, FINANCE, "FPB")
fiqa_sa = partial(_choice, FINANCE, "FiQA_SA")
headline = partial(_choice, FINANCE, "Headline")
ner = partial(_generation, FINANCE, "NER")
convfinqa = partial(_generation, FINANCE, "ConvFinQA")


def _predicted(doc: dict[str, Any], results: list[tuple[float, bool]]) -> int:
    return scoring.best_option([logprob for logprob, _ in results], doc["option_tokens"])


def choice_results(doc: dict[str, Any], results: list[tuple[float, bool]]) -> dict[str, Any]:
    """Score accuracy."""
    return {"acc": float(_predicted(doc, results) == doc["gold_index"])}


def weighted_f1_results(doc: dict[str, Any], results: list[tuple[float, bool]]) -> dict[str, Any]:
    """Score accuracy, and return label and prediction for F1."""
    row = (doc["gold_index"], _predicted(doc, results))
    return {**choice_results(doc, results), "weighted_f1": row}


def headline_f1_results(doc: dict[str, Any], results: list[tuple[float, bool]]) -> dict[str, Any]:
    """Score accuracy, and return class of question, label and prediction for F1."""
    row = (doc["class_id"], doc["gold_index"], _predicted(doc, results))
    return {**choice_results(doc, results), "headline_f1": row}


def ner_results(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Score the released half-credit metric, and strict entity F1."""
    return {
        "half_credit": scoring.ner_half_credit(doc["label"], results[0]),
        "entity_f1": scoring.ner_f1(doc["label"], results[0]),
    }


def convfinqa_results(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Score whether a number of the answer is right."""
    return {"numeric_match": float(scoring.numeric_match(str(doc["label"]), results[0]))}


weighted_f1, headline_f1 = scoring.weighted_f1, scoring.headline_f1
"""Aggregations of the items of a task."""
