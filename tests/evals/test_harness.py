"""From lm-eval's samples to rows, and every suite's tasks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from evals.harness import TASKS, _row
from evals.items import EMBEDDED_ITEMS
from evals.suites import SUITES, BenchmarkTask, suite
from toedit.errors import UserError

TASK = BenchmarkTask("t", "T", "acc", 3, 0, "stock", 10, 100)
SAMPLE = {
    "doc_id": 7,
    "doc": {"id": "item-7"},
    "target": "2",
    "arguments": [("q", " yes"), ("q", " no"), ("q", " maybe")],
    "filtered_resps": [(-3.0, False), (-1.5, True), (-2.0, False)],
    "acc": 0.0,
}


@pytest.mark.parametrize("target", [2, "2", "maybe"])
def test_a_row_by_hand(target):
    assert _row(TASK, {**SAMPLE, "target": target}) == {
        "item": "item-7",
        "value": 0.0,
        "gold": 2,
        "prediction": 1,
        "option_logprobs": [-3.0, -1.5, -2.0],
        "gold_logprob": -2.0,
    }


def test_a_document_without_an_id_is_named_by_its_place():
    assert _row(TASK, {**SAMPLE, "doc": {}})["item"] == "7"


def test_embedded_tasks_have_files_and_items_and_no_stock_name():
    import lm_eval.tasks

    stock = Path(lm_eval.tasks.__path__[0])
    stock_names = {path.stem for path in stock.rglob("*.yaml")}
    embedded = {task.name for tasks in SUITES.values() for task in tasks if task.embedded}
    assert embedded == set(EMBEDDED_ITEMS)
    assert not embedded & stock_names
    for name in embedded:
        text = (TASKS / f"{name}.yaml").read_text()
        assert f"\ntask: {name}\n" in text
        fields = yaml.safe_load(text.replace("!function ", ""))
        assert fields["output_type"] == "multiple_choice"
    by_task = {}
    for path in stock.rglob("*.yaml"):
        text = path.read_text()
        name = re.search(r"^task: (\S+)$", text, re.MULTILINE)
        by_task |= {name.group(1): text} if name else {}
    for task in (task for tasks in SUITES.values() for task in tasks if task.source == "stock"):
        # The frozen metric is one the stock task has.
        assert re.search(rf"metric: {task.metric}$", by_task[task.name], re.MULTILINE)


def test_an_unknown_suite_is_named():
    with pytest.raises(UserError, match="did you mean 'biomedicine_hub'"):
        suite("biomedicine_hubs")
