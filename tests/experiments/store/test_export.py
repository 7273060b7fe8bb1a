"""The part of a store that tables need, copied into another: nothing there is lost or mixed up."""

import json
import shutil
from pathlib import Path

import pytest
from written import block_of, evaluation, right, run, three_arms

from experiments.analysis.evidence import Evidence
from experiments.store import Store, rows
from experiments.store.__main__ import ls, verify
from experiments.store.export import export
from experiments.store.records import labels, read_record
from toedit.errors import UserError


def record(root: Path, label: str) -> dict:
    found = read_record(root, label)
    assert found is not None
    return found


def store(root: Path) -> Path:
    Store(root)
    return root


def test_an_export_fills_the_same_tables(tmp_path):
    source, target = store(tmp_path / "a"), tmp_path / "b"
    stages = three_arms(source, (0, 1, 2))
    texts = {str(path.parent.relative_to(source)) for path in source.glob("*/*/record.json")}
    read = {label: label for label in sorted(texts - set(stages.values()))}
    run(source, next((source / "reports").iterdir()).name, "cpt_bio", {**read, **stages})
    (next((source / "reports").iterdir()) / "results.md").write_text("the page")
    written = export(Store(source), target)
    assert (next((target / "reports").iterdir()) / "results.md").read_text() == "the page"
    assert export(Store(source), target) == []  # all is there
    assert {path.parent.name for path in written} >= {"records", "evaluate"}
    assert sorted(labels(target)) == sorted(texts) and not list(target.glob("*/*/record.json"))
    for root in (source, target):
        built, block, place, evidence = block_of(root)
        assert not evidence.refused
        found = {c.column: c.estimate for c in built.comparisons.planned if c.block == place}
        values = [cell.value for row in block.rows for cell in row.cells.values()]
        if root == source:
            wanted = found, values
    assert (found, values) == wanted


def test_a_result_that_is_there_under_another_name_is_read_by_what_rests_on_it(tmp_path):
    source, target = store(tmp_path / "a"), store(tmp_path / "b")
    label = evaluation(source, "source", 0, right(0.4, 10), [20.0] * 8)
    trained = record(source, label)["inputs"]["model"]
    run(source, "cpt_bio-1", "cpt_bio", {"train/source": trained, "evaluate/source": label})
    other = trained.replace("train/source-", "train/generation0-")
    shutil.copytree(source / trained, target / other)
    export(Store(source), target)
    assert not (target / trained).exists()
    assert record(target, label)["inputs"]["model"] == other
    (listed,) = Evidence([target]).runs
    assert [entry.label for entry in listed.of_kind("train")] == [other]
    (result,) = Evidence([target]).results("cpt_bio", "evaluate")
    assert result.upstream("train") == record(target, other)


def test_commands_lose_the_folder_of_the_store(tmp_path):
    source, target = store(tmp_path / "a"), tmp_path / "b"
    label = evaluation(source, "source", 0, right(0.4, 10), [20.0] * 8)
    run(source, "cpt_bio-1", "cpt_bio", {"evaluate/source": label},
        command=["run.py", "+exp=cpt_bio", f"store={tmp_path}", "seeds=[0,1]"])  # fmt: skip
    path = source / label / "record.json"
    path.write_text(
        json.dumps(record(source, label) | {"argv": ["run.py", f'store=a "{tmp_path}']})
    )
    export(Store(source), target)
    (listed,) = Evidence([target]).runs
    assert listed.command == ["run.py", "+exp=cpt_bio", "seeds=[0,1]"]
    assert record(target, label)["argv"] == ["run.py"]
    assert record(target, label) | {"argv": []} == record(source, label) | {"argv": []}


def test_a_new_result_is_a_new_line_and_a_damaged_one_is_refused_by_name(tmp_path, capsys):
    source, target = store(tmp_path / "a"), tmp_path / "b"
    stages = three_arms(source, (0,))
    export(Store(source), target)
    path = target / "records" / "evaluate.jsonl"
    before = path.read_text().splitlines()
    assert before == sorted(before) and len(before) == 3
    label = evaluation(source, "source", 7, right(0.4, 10), [20.0] * 8)
    run(source, "cpt_bio-2", "cpt_bio", {"evaluate/source": label})
    export(Store(source), target)
    after = path.read_text().splitlines()
    assert [line for line in after if line in before] == before and len(after) == 4
    assert ls(Store(target)) == 0 and verify(Store(target)) == 0
    assert label in capsys.readouterr().out
    path.write_text("\n".join([*after[:-1], after[-1][:-9]]) + "\n")
    lost = json.loads(after[-1])["label"]
    with pytest.raises(UserError, match=r"line 4 of '.*evaluate\.jsonl' is damaged"):
        read_record(target, lost)
    evidence = Evidence([target])
    assert evidence.record(target, lost) is None
    assert list(evidence.refused.values()) == ["is damaged"]
    assert {own.label for own in evidence.results("cpt_bio", "evaluate")} >= {
        own for own in stages.values() if own.startswith("evaluate/") and own != lost
    }


def test_the_name_itself_goes_before_another(tmp_path):
    source, target = store(tmp_path / "a"), store(tmp_path / "b")
    label = evaluation(source, "source", 0, right(0.4, 10), [20.0] * 8)
    run(source, "cpt_bio-1", "cpt_bio", {"evaluate/source": label})
    for name in (label, label.replace("evaluate/source-", "evaluate/a-")):
        shutil.copytree(source / label, target / name)
    export(Store(source), target)
    (listed,) = Evidence([target]).runs
    assert [entry.label for entry in listed.stages] == [label]


def test_the_page_stays_where_results_stay_with_other_numbers(tmp_path):
    source, target = store(tmp_path / "a"), store(tmp_path / "b")
    for root, page in ((source, "new"), (target, "old")):
        label = evaluation(root, "source", 0, right(0.4, 10), [20.0] * 8)
        run(root, "cpt_bio-1", "cpt_bio", {"evaluate/source": label})
        (root / "reports" / "cpt_bio-1" / "results.md").write_text(page)
    changed = record(source, label)
    changed["metrics"]["medqa_en"]["acc"] += 1e-9  # another machine
    (source / label / "record.json").write_text(json.dumps(changed))
    assert export(Store(source), target) == []
    assert (target / "reports" / "cpt_bio-1" / "results.md").read_text() == "old"


def test_a_damaged_list_is_one_line_and_no_other_run_is_lost(tmp_path):
    source = store(tmp_path / "a")
    three_arms(source)
    (source / "reports" / "broken").mkdir()
    (source / "reports" / "broken" / "run.json").write_text('{"experiment": "x"')
    with pytest.raises(UserError, match=r"broken/run\.json' is damaged; delete its folder"):
        export(Store(source), tmp_path / "b")
    with pytest.raises(UserError, match="no run of 'cpt_bia'"):
        shutil.rmtree(source / "reports" / "broken")
        export(Store(source), tmp_path / "b", ["cpt_bia"])


def test_an_interrupted_export_loses_no_answers(tmp_path, monkeypatch):
    """Killed before the records are there, and again with other answers computed meanwhile."""
    target, packed = tmp_path / "b", rows.pack

    def made(folder: str, share: float) -> tuple[Path, str]:
        root = store(tmp_path / folder)
        label = evaluation(root, "source", 0, right(share, 10), [20.0] * 8)
        read = record(root, label)["inputs"]["model"]
        text = record(root, read)["inputs"]["text"]
        run(root, "cpt_bio-1", "cpt_bio",
            {"corpus/local": text, "train/source": read, "evaluate/source": label})  # fmt: skip
        return root, label

    def killed(*given):
        packed(*given)
        raise KeyboardInterrupt

    first, label = made("a", 0.4)
    monkeypatch.setattr(rows, "pack", killed)
    with pytest.raises(KeyboardInterrupt):
        export(Store(first), target)
    assert not list(labels(target))
    monkeypatch.setattr(rows, "pack", packed)
    second, again = made("c", 0.9)
    assert again == label
    export(Store(second), target)
    (result,) = Evidence([target]).results("cpt_bio", "evaluate")
    name = "predictions/medqa_en.parquet"
    assert result.rows(name) == rows.read_file(second / label / name)
    assert result.rows(name) != rows.read_file(first / label / name)
