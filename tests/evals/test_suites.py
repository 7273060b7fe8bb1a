"""Suites: one label is one definition, and every task is there as it is frozen."""

import re
from pathlib import Path

import lm_eval.tasks
import pytest
from lm_eval.tasks._yaml_loader import load_yaml

from evals.harness import TASKS
from evals.items import EMBEDDED_ITEMS
from evals.suites import LOGIQA, SUITES, suite
from experiments.stage import suite_identity
from toedit.errors import UserError

STOCK = Path(lm_eval.tasks.__path__[0])
COLUMNS = {task for tasks in SUITES.values() for task in tasks}


@pytest.fixture(scope="module")
def stock() -> dict[str, Path]:
    """YAML files of lm-eval by the name of their task or group."""
    named = re.compile(r'^"?(?:task|group)"?: "?(\w+)"?\s*$', re.MULTILINE)
    found: dict[str, Path] = {}
    for path in sorted(STOCK.rglob("*.yaml")):
        for name in named.findall(path.read_text())[:1]:
            found.setdefault(name, path)
    return found


def test_one_label_is_one_definition():
    definitions: dict[str, set[tuple]] = {}
    for task in COLUMNS:
        asked = (task.name, task.version, task.shots, task.metric, task.filter)
        definitions.setdefault(task.label, set()).add(asked)
    assert {label: len(found) for label, found in definitions.items() if len(found) > 1} == {}
    names = [task.name for task in COLUMNS]
    assert len(names) == len(set(names))  # and one task is one column
    for name, tasks in SUITES.items():
        assert len({task.name for task in tasks}) == len(tasks), name


def test_labels_that_documents_quote_stay():
    labels = {name: [task.label for task in tasks] for name, tasks in SUITES.items()}
    assert labels["biomedicine_embedded"] == ["PubMedQA yes/no", "MedQA (5 options)", "MedMCQA"]
    assert labels["commonsense_embedded"] == [
        "PIQA", "ARC-e (validation)", "OBQA (validation)", "Winogrande", "BoolQ",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "columns", "offline"),
    [
        ("reasoning", 8, 8),
        ("instruct", 5, 5),
        ("code", 4, 3),
        ("math", 5, 4),
    ],
)
def test_an_embedded_suite_asks_what_the_hubs_asks(kind, columns, offline):
    """In the same order and of the same benchmarks, but GPQA, which the wheel lacks."""
    hub, embedded = suite(f"{kind}_hub"), suite(f"{kind}_embedded")
    assert (len(hub), len(embedded)) == (columns, offline)
    assert all(task.source == "stock" for task in hub) and all(task.embedded for task in embedded)
    short = [[task.label.partition(" (")[0] for task in tasks] for tasks in (hub, embedded)]
    assert [label for label in short[0] if label != "GPQA"] == short[1]
    for ours, theirs in zip(embedded, (t for t in hub if t.label != "GPQA"), strict=True):
        assert (ours.metric, ours.options, ours.shots) == (
            theirs.metric, theirs.options, theirs.shots,
        )  # fmt: skip


def test_embedded_tasks_have_files_and_items_and_no_stock_name(stock):
    embedded = {task for task in COLUMNS if task.embedded}
    assert {task.name for task in embedded} == set(EMBEDDED_ITEMS)
    assert not {task.name for task in embedded} & set(stock)
    for task in embedded:
        fields = load_yaml(TASKS / f"{task.name}.yaml", resolve_func=False)
        assert fields["task"] == task.name
        assert fields["metadata"]["version"] == task.version
        assert fields.get("num_fewshot", 0) == task.shots
        assert (fields["output_type"] == "multiple_choice") == bool(task.options)
        check_metric_and_filter(fields, task)


def test_stock_tasks_are_in_the_installed_lm_eval_as_frozen(stock):
    for task in (task for task in COLUMNS if task.source == "stock"):
        fields = load_yaml(stock[task.name], resolve_func=False)
        version = fields.get("metadata", {}).get("version")
        assert version == task.version, task.name
        if "group" in fields:
            aggregated = {entry["metric"] for entry in fields["aggregate_metric_list"]}
            assert task.metric in aggregated and all(
                entry["weight_by_size"] for entry in fields["aggregate_metric_list"]
            )  # our mean over items is theirs over tasks
            continue
        assert fields.get("num_fewshot", task.shots) == task.shots
        assert (fields["output_type"] == "multiple_choice") == bool(task.options)
        check_metric_and_filter(fields, task)


def dataset_of(fields: dict, path: Path, stock: dict[str, Path]) -> str:
    """The data set that a task file names, itself, by inclusion or in the tasks of its group."""
    if "dataset_path" in fields:
        return fields["dataset_path"]
    if "include" in fields:
        return dataset_of(
            load_yaml(path.parent / fields["include"], resolve_func=False), path, stock
        )
    members = fields["task"] if isinstance(fields["task"], list) else []
    place = next((stock[name] for name in members if name in stock), None)
    place = place or STOCK / "mmlu" / "default" / "_default_template_yaml"
    return dataset_of(load_yaml(place, resolve_func=False), place, stock)


def test_the_data_set_of_every_hub_task_is_that_of_its_file_and_its_definition_has_a_source(stock):
    for task in (task for task in COLUMNS if not task.embedded):
        assert task.known_from, task.name
        if task.source == "stock":
            fields = load_yaml(stock[task.name], resolve_func=False)
            assert dataset_of(fields, stock[task.name], stock) == task.dataset, task.name
    assert all(not task.dataset for task in COLUMNS if task.embedded)
    web = load_yaml(TASKS / "logiqa2_test.yaml", resolve_func=False)
    assert web["dataset_kwargs"]["data_files"] == {"test": LOGIQA}


def test_a_hub_suite_counts_by_its_definitions_and_an_embedded_one_by_its_name(monkeypatch):
    from dataclasses import replace

    before = suite_identity("code_hub")
    (*others, last) = SUITES["code_hub"]
    for change in ({"filter": "strict-match"}, {"version": 9.0}, {"shots": 1}):
        monkeypatch.setitem(SUITES, "code_hub", (*others, replace(last, **change)))
        assert suite_identity("code_hub") != before
    monkeypatch.setitem(SUITES, "code_hub", (*others, replace(last, known_from="elsewhere")))
    assert suite_identity("code_hub") == before
    assert suite_identity("code_embedded") == "code_embedded"


def check_metric_and_filter(fields, task):
    assert task.metric in {entry["metric"] for entry in fields["metric_list"]}, task.name
    filters = [entry["name"] for entry in fields.get("filter_list", [{"name": "none"}])]
    assert task.filter in filters, task.name


@pytest.mark.parametrize(("name", "parts"), [("mmlu", 57), ("hendrycks_math", 7)])
def test_groups_hold_the_parts_that_are_counted(stock, name, parts):
    """By name and tag, as lm-eval resolves them; without its index of 14,000 files."""
    members = load_yaml(stock[name], resolve_func=False)["task"]
    leaves = set()
    for member in members:
        path = STOCK / "mmlu" / "default" / f"_{member}.yaml"
        if path.is_file():
            (tag,) = load_yaml(path, resolve_func=False)["task"]
            leaves |= {
                p.stem
                for p in path.parent.glob("mmlu_*.yaml")
                if load_yaml(p, resolve_func=False).get("tag") == tag
            }
        else:
            leaves.add(stock[member].stem)
    assert len(leaves) == parts


def test_an_unknown_suite_is_named():
    with pytest.raises(UserError, match="did you mean 'biomedicine_hub'"):
        suite("biomedicine_hubs")
