"""Task files of the user become benchmarks, or one line that says what is wrong with them."""

import json
from dataclasses import replace

import pytest

from evals.harness import task_texts
from evals.own_tasks import OWN, benchmarks, own_tasks
from experiments.analysis.metrics import benchmark
from experiments.config import EvalConfig, ModelConfig
from experiments.config.corpora import CorpusConfig
from experiments.stage import StageContext
from experiments.stages import corpus, evaluate
from toedit.errors import UserError

SEASONS = """
task: seasons
custom_dataset: !function seasons.items
test_split: test
output_type: multiple_choice
doc_to_text: "{{month}} is in"
doc_to_choice: options
doc_to_target: right
metric_list:
  - metric: acc
  - metric: acc_norm
"""
CODE = """
from datasets import Dataset, DatasetDict

def items(**_):
    rows = [{"month": "June", "options": [" summer", " winter"], "right": 0},
            {"month": "Snow", "options": [" summer", " winter", " autumn", " spring"], "right": 1}]
    return DatasetDict({"test": Dataset.from_list(rows)})

def results(document, answers):
    return {"hits": 1.0}
"""
SUMS = """
task: sums
task_alias: Sums to ten
dataset_path: json
dataset_kwargs:
  data_files:
    test: FOLDER/sums.jsonl
test_split: test
output_type: generate_until
doc_to_text: question
doc_to_target: answer
num_fewshot: 0
generation_kwargs: {until: ["\\n"], max_gen_toks: 4}
filter_list:
  - name: number
    filter: [{function: regex, regex_pattern: "([0-9]+)"}, {function: take_first}]
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
metadata: {version: 2.5}
"""


@pytest.fixture()
def folder(tmp_path):
    folder = tmp_path / "tasks"
    (folder / "inner").mkdir(parents=True)
    (folder / "seasons.yaml").write_text(SEASONS)
    (folder / "seasons.py").write_text(CODE)
    (folder / "inner" / "sums.yaml").write_text(SUMS.replace("FOLDER", str(folder)))
    rows = [{"question": "4 + 5 =", "answer": "9"}, {"question": "1 + 1 =", "answer": "2"}]
    (folder / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "base.yaml").write_text("output_type: multiple_choice\n")  # to be included
    return folder


def test_a_task_is_what_its_files_say(folder):
    sums, seasons = own_tasks(str(folder))
    assert (seasons.name, seasons.label, seasons.metric) == ("seasons", "seasons", "acc")
    assert (seasons.options, seasons.items, seasons.version) == (4, 2, None)
    assert (sums.name, sums.label, sums.options) == ("sums", "Sums to ten", 0)
    assert (sums.metric, sums.filter, sums.version) == ("exact_match", "number", 2.5)
    assert {task.source for task in (sums, seasons)} == {OWN}
    names = [task.name for task in benchmarks("code_embedded", str(folder))]
    assert names[-2:] == ["sums", "seasons"] and len(names) == 5


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (("test_split: test", "test_split: tset"), "'seasons' .seasons.yaml.: lm-eval cannot load"),
        (("seasons.items", "seasons.itmes"), "has no function 'itmes'"),
        (("task: seasons", "task: a/b"), "task='a/b'"),
        (("task: seasons", "task: medqa_en"), "'medqa_en' is used by this project"),
        (("task: seasons", "task: sums"), "'sums' is used by sums.yaml"),
        (("task: seasons", "group: seasons"), "is a group"),
        (("task: seasons", "task: ["), "seasons.yaml' cannot be read"),
        (("output_type: multiple_choice", "output_type: loglikelihood_rolling"), "output_type"),
        (("acc\n  - metric: acc_norm", "perplexity"), "no metric by name that is a mean"),
        (
            (
                "metric: acc\n",
                "metric: !function seasons.items\n    aggregation: mean\n"
                "process_results: !function seasons.results\n#",
            ),
            "lm-eval cannot load it",
        ),
        (
            ("metric: acc\n", "metric: acc\nprocess_results: !function seasons.results\n#"),
            "process_results returns hits, and not acc",
        ),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_computed(folder, change, line):
    path = folder / "seasons.yaml"
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(UserError, match=line) as raised:
        corpus.benchmarks_of(EvalConfig(suite=None, tasks=str(folder)))
    assert "\n" not in str(raised.value) and "eval.tasks" in str(raised.value)


def test_an_error_of_the_users_python_is_one_line(folder):
    (folder / "seasons.py").write_text("raise RuntimeError('no such thing')")
    with pytest.raises(UserError, match="RuntimeError: no such thing"):
        own_tasks(str(folder))
    (folder / "seasons.py").write_text("raise SystemExit")
    with pytest.raises(UserError, match="SystemExit"):
        own_tasks(str(folder))
    (folder / "seasons.py").write_text(CODE.replace('"right": 1', '"right": 4'))
    with pytest.raises(UserError, match="item 1: doc_to_target is 4, of 4 options"):
        own_tasks(str(folder))
    (folder / "seasons.py").write_text(CODE.replace("from_list(rows)", "from_list([])"))
    with pytest.raises(UserError, match="seasons"):
        own_tasks(str(folder))


def test_a_folder_without_a_task_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"no file \*\.yaml"):
        own_tasks(str(tmp_path))
    with pytest.raises(UserError, match="no folder"):
        own_tasks(str(tmp_path / "none"))


def stages(evaluation):
    text = corpus.stage(CorpusConfig(source="bioasq"), evaluation)
    return text, evaluate.stage(text, "base", evaluation, ModelConfig(), None)


def test_the_content_of_the_folder_identifies_the_results(folder, tmp_path):
    def fingerprints(tasks):
        evaluation = EvalConfig(suite="code_embedded", tasks=tasks)
        return [stage.fingerprint for stage in stages(evaluation)]

    before = fingerprints(str(folder))
    moved = folder.rename(tmp_path / "moved")
    folder.symlink_to(moved)  # where the task reads its items
    for name in ("__pycache__", ".git"):
        (moved / name).mkdir(exist_ok=True)
        (moved / name / "x").write_text("nothing")
    assert fingerprints(str(moved)) == before
    (moved / "seasons.py").write_text(CODE.replace("June", "July"))
    for a, b, c in zip(fingerprints(None), before, fingerprints(str(moved)), strict=True):
        assert len({a, b, c}) == 3


def test_items_elsewhere_identify_the_results_too(folder, tmp_path):
    """Those of a file of data outside the folder, and those that its Python reads."""
    outside = [tmp_path / "sums.jsonl", tmp_path / "months.txt"]
    (folder / "sums.jsonl").rename(outside[0])
    outside[1].write_text("June")
    path = folder / "inner" / "sums.yaml"
    path.write_text(path.read_text().replace(str(folder), str(tmp_path)))
    code = CODE.replace('"June"', f"open({str(outside[1])!r}).read()")
    (folder / "seasons.py").write_text(code)
    evaluated = stages(EvalConfig(suite=None, tasks=str(folder)))[1]
    seen = set()
    for file, old, new in ((None, "", ""), (outside[0], '"9"', '"8"'), (outside[1], "June", "May")):
        if file is not None:
            with pytest.raises(UserError, match="has changed since this command began"):
                file.write_text(file.read_text().replace(old, new))
                evaluated.config.run(StageContext(evaluated, tmp_path, {}, {}, lambda *_: None))
        both = stages(EvalConfig(suite=None, tasks=str(folder)))
        seen |= {stage.fingerprint for stage in both}
        evaluated = both[1]
    assert len(seen) == 6


def test_data_files_count_from_the_task_file_and_then_from_the_current_folder(
    folder, tmp_path, monkeypatch
):
    path, rows = folder / "inner" / "sums.yaml", folder / "sums.jsonl"
    path.write_text(SUMS.replace("FOLDER/sums.jsonl", "sums.js*l"))
    rows.rename(folder / "inner" / "sums.jsonl")
    sums, _ = own_tasks(str(folder))
    assert sums.items == 2 and ("sums:0", "9") in task_texts(sums, None, folder)
    (folder / "inner" / "sums.jsonl").rename(tmp_path / "sums.jsonl")
    monkeypatch.chdir(tmp_path)
    path.write_text(SUMS.replace("FOLDER/sums.jsonl", "sums.jsonl"))
    assert own_tasks(str(folder))[0].content == sums.content


def test_a_folder_that_changes_while_a_command_runs_is_no_wrong_result(folder, tmp_path):
    _, evaluated = stages(EvalConfig(suite=None, tasks=str(folder)))
    assert evaluated.fingerprint
    (folder / "seasons.py").write_text(CODE.replace("June", "July"))
    context = StageContext(evaluated, tmp_path, {}, {}, lambda *_: None)
    with pytest.raises(UserError, match="has changed since this command began"):
        evaluated.config.run(context)


def test_a_record_holds_the_definitions_which_reports_need(folder):
    _, evaluated = stages(EvalConfig(suite="code_embedded", tasks=str(folder)))
    assert [task["name"] for task in evaluated.config.own] == ["sums", "seasons"]
    assert "own" not in evaluated.identity["config"]


def test_limits_name_tasks_of_the_folder(folder):
    with pytest.raises(UserError, match=r"eval.limits='sum' is unknown.*sums"):
        stages(EvalConfig(suite=None, tasks=str(folder), limits={"sum": 1}))
    left_over = {"pubmedqa_yesno": 10, "sums": 1}  # of the suite that is taken away
    assert stages(EvalConfig(suite=None, tasks=str(folder), limits=left_over))


def test_items_of_the_folder_are_searched_for_in_training_text(folder):
    items = corpus.benchmark_items(corpus.benchmarks_of(EvalConfig(suite=None, tasks=str(folder))))
    assert ("sums:1", "1 + 1 =") in items["sums"] and ("sums:1", "2") in items["sums"]
    assert ("seasons:0", "June is in") in items["seasons"]


def test_chance_follows_the_options_of_each_item_and_metrics_their_own_unit(folder):
    _, seasons = own_tasks(str(folder))
    rows = [
        {"item": str(n), "value": 1.0, "gold": 0, "prediction": 0, "gold_logprob": -1.0,
         "option_logprobs": [-1.0] * options}
        for n, options in enumerate((2, 4))
    ]  # fmt: skip
    assert evaluate.summarize(seasons, rows)["random"] == pytest.approx(3 / 8)
    assert benchmark(seasons).factor == 100
    words = replace(seasons, metric="mean_words", lower=True)
    assert (benchmark(words).factor, benchmark(words).lower) == (1.0, True)
    assert "random" not in evaluate.summarize(words, rows)
