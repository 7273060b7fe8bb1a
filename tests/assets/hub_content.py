"""Repositories of the test hub under the names of real ones: their files, formats and columns.

Data sets of text and models are the stand-ins of the rehearsal. Items of benchmarks have the
configurations, splits and columns that the tasks of lm-eval 0.4.13 name, a few rows each.
"""

import csv
import io
import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from hub import Hub

from evals.suites import LOGIQA
from experiments.hub.names import DATASET, MODEL, Name
from experiments.rehearsal.items import LABELS, OPTIONS, write_adaptllm_items
from experiments.rehearsal.stand_in_models import CLASSIFIER, TOKENIZER, stand_in
from experiments.rehearsal.stand_in_models import MODEL as CAUSAL
from experiments.rehearsal.texts import LISTS, data_set

MEMBER = "hf_member"
"""The token that may read gated repositories."""

OLMO_DATA = "https://olmo-data.org/dolma-v1_6-8B-sample"
ROLES = {"mixture.tokenizer": TOKENIZER, "selection.education": CLASSIFIER}
"""By the field that names a model; others are causal language models."""

Row = dict[str, Any]


def fill(hub: Hub, names: list[Name], folder: Path) -> dict[str, bytes]:
    """Add repositories for names, at the commits that they are pinned to.

    Returns:
        Files of other hosts, by address.
    """
    web = {LOGIQA: lines(LOGIQA_ROWS)}
    for name in sorted(names, key=lambda name: name.field in ROLES):
        key = f"{name.kind}s/{name.name}"
        if name.kind in (DATASET, MODEL) and key not in hub.repositories:
            access = {"gated": True, "members": (MEMBER,)} if name.gated else {}
            hub.add(key, content(name, folder, web), **access)
        if name.revision is not None:
            commits = hub.repositories[key].commits
            commits.setdefault(name.revision, next(iter(commits.values())))
    return web


def content(name: Name, folder: Path, web: dict[str, bytes]) -> dict[str, bytes]:
    """Files of a repository; those that it lists elsewhere are added to ``web``."""
    if name.kind == MODEL:
        return files_in(stand_in(name.name, None, ROLES.get(name.field, CAUSAL), True).folder)
    if name.name in BENCHMARKS:
        return benchmark(*BENCHMARKS[name.name])
    if name.name.startswith("AdaptLLM/"):
        return adaptllm_items(folder / name.name, name.name == "AdaptLLM/finance-tasks")
    files = files_in(data_set(name.name, name.field))
    if name.name in LISTS:
        path, entries = LISTS[name.name]
        web |= {f"{OLMO_DATA}/{entry}": files.pop(entry) for entry in entries}
        files[path] = "".join(f"{OLMO_DATA}/{entry}\n" for entry in entries).encode()
    return files


def files_in(folder: Path) -> dict[str, bytes]:
    """Contents of all files in a folder, by their paths in it."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def lines(rows: list[Row]) -> bytes:
    """Rows as JSON lines."""
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def parquet(rows: list[Row]) -> bytes:
    """Rows as parquet."""
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


def card(configs: dict[str, dict[str, str]]) -> bytes:
    """A data set card with the file of each split of each configuration."""
    entries = [
        {"config_name": name, "data_files": [{"split": s, "path": p} for s, p in splits.items()]}
        for name, splits in configs.items()
    ]
    return f"---\n{yaml.safe_dump({'configs': entries})}---\n# A data set\n".encode()


def benchmark(rows: dict[str, list[Row]], splits: list[str], kind: str) -> dict[str, bytes]:
    """Files of a data set of items: rows by configuration, each the same in all splits."""
    files: dict[str, bytes] = {}
    configs: dict[str, dict[str, str]] = {}
    for name, items in rows.items():
        for split in splits:
            folder = "data" if name == "default" else name
            path = f"{name}.csv" if kind == "csv" else f"{folder}/{split}-00000-of-00001.parquet"
            configs.setdefault(name, {})[split] = path
            files[path] = table(items) if kind == "csv" else parquet(items)
    return {"README.md": card(configs), **files}


def table(rows: list[Row]) -> bytes:
    """Rows as CSV."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue().encode()


def adaptllm_items(folder: Path, finance: bool) -> dict[str, bytes]:
    """Items of AdaptLLM's tasks of one domain, a configuration each."""
    financial = {"FPB", "FiQA_SA", "Headline", *LABELS}
    names = [name for name in (*OPTIONS, *LABELS) if (name in financial) == finance]
    write_adaptllm_items(folder, names)
    files = {f"{name}/test.json": (folder / name / "test.jsonl").read_bytes() for name in names}
    return {"README.md": card({n: {"test": f"{n}/test.json"} for n in names}), **files}


def numbered(**columns: Any) -> list[Row]:
    """Six rows; ``#`` in a text is the number of the row."""

    def at(value: Any, number: int) -> Any:
        if isinstance(value, str):
            return value.replace("#", str(number))
        if isinstance(value, dict):
            return {key: at(inner, number) for key, inner in value.items()}
        return [at(inner, number) for inner in value] if isinstance(value, list) else value

    return [{name: at(value, i) for name, value in columns.items()} for i in range(6)]


FOUR = {"text": ["one", "two", "three", "four of #"], "label": ["A", "B", "C", "D"]}
ARC = numbered(id="Mercury_#", question="What is # and one?", choices=FOUR, answerKey="B")
TASKS = Path(str(find_spec("lm_eval").origin)).parent / "tasks"


def configurations(pattern: str) -> list[str]:
    """Configurations of data sets that task files of lm-eval name."""
    texts = [path.read_text() for path in sorted(TASKS.glob(pattern))]
    return [found[1] for t in texts if (found := re.search(r'"?dataset_name"?: "?(\w+)', t))]


LOGIQA_ROWS = numbered(
    answer=1, text="All of # are even.", question="Which follows from #?",
    options=["none", "all", "some", "few"], type={"Necessary Conditional Reasoning": True},
)  # fmt: skip
LOGIQA_ROWS = [{"id": number, **row} for number, row in enumerate(LOGIQA_ROWS)]
TRAINED = ["train", "validation", "test"]

BENCHMARKS: dict[str, tuple[dict[str, list[Row]], list[str], str]] = {
    "baber/piqa": (
        {"default": numbered(goal="To open jar #,", sol1="turn it", sol2="eat it", label=0)},
        ["train", "validation"], "parquet",
    ),
    "aps/super_glue": (
        {"boolq": numbered(question="is # a number", passage="# is a number.", idx=0, label=1)},
        TRAINED, "parquet",
    ),
    "allenai/ai2_arc": ({"ARC-Challenge": ARC, "ARC-Easy": ARC}, TRAINED, "parquet"),
    "allenai/openbookqa": (
        {"main": numbered(id="7-#", question_stem="The sun # is", choices=FOUR, answerKey="A")},
        TRAINED, "parquet",
    ),
    "allenai/winogrande": (
        {"winogrande_xl": numbered(sentence="Ann # met Bea and _ smiled.", option1="Ann",
                                   option2="Bea", answer="1")},
        TRAINED, "parquet",
    ),
    "Rowan/hellaswag": (
        {"default": numbered(
            ind=4, activity_label="Cooking", ctx_a="A man holds pan #.", ctx_b="he",
            ctx="A man holds pan #. he", endings=["fries.", "swims.", "flies.", "sleeps."],
            source_id="activitynet~v_#", split="val", split_type="indomain", label="0",
        )},
        TRAINED, "parquet",
    ),
    "lighteval/siqa": (
        {"default": numbered(context="Kim lost # keys.", question="How does Kim feel?",
                             answerA="glad", answerB="upset", answerC="bored", label="2")},
        ["train", "validation"], "parquet",
    ),
    "cais/mmlu": (
        {subject: numbered(question="Is it #?", subject=subject, choices=FOUR["text"], answer=2)
         for subject in configurations("mmlu/default/mmlu_*.yaml")},
        ["test", "validation", "dev"], "parquet",
    ),
    "Idavidrein/gpqa": (
        {"gpqa_main": numbered(**{
            "Question": "What is the mass of #?", "Correct Answer": "one", "Incorrect Answer 1":
            "two", "Incorrect Answer 2": "three", "Incorrect Answer 3": "four",
            "Subdomain": "Physics", "Record ID": "rec#",
        })},
        ["train"], "csv",
    ),
    "openai/gsm8k": (
        {"main": numbered(question="What is # and 1?", answer="It is <<#+1=3>>3.\n#### 3")},
        ["train", "test"], "parquet",
    ),
    "EleutherAI/hendrycks_math": (
        {subject: numbered(problem="Solve $x = #$.", level="Level 1", type=subject,
                           solution="It is $\\boxed{#}$.")
         for subject in configurations("hendrycks_math/hendrycks_math_*.yaml")},
        ["train", "test"], "parquet",
    ),
    "truthfulqa/truthful_qa": (
        {
            "generation": numbered(
                type="Adversarial", category="Myths", question="Does # bring luck?",
                best_answer="No", correct_answers=["No", "It does not"],
                incorrect_answers=["Yes"], source="https://example.org/#",
            ),
            "multiple_choice": numbered(
                question="Does # bring luck?", mc1_targets={"choices": ["No", "Yes"],
                "labels": [1, 0]}, mc2_targets={"choices": ["No", "Yes"], "labels": [1, 0]},
            ),
        },
        ["validation"], "parquet",
    ),
}  # fmt: skip
"""Rows by configuration, splits and format."""
