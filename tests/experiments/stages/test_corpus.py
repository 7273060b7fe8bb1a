"""The corpus stage on a data set as the hub serves it: ids, first exchanges, skipped records."""

import json
from pathlib import Path

import pytest
from conftest import corpus_text

from experiments import run
from experiments.config import CorpusConfig
from experiments.config.compose import compose
from experiments.stage import Stage, StageContext
from experiments.stages.corpus import CorpusStage
from toedit.corpora.sources import local_documents
from toedit.errors import UserError


def written(folder: Path, rows: list[dict]) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(folder)


def corpus(tmp_path: Path, rows: list[dict], **settings) -> tuple[dict, list]:
    """The metrics and all documents of the stage."""
    hub = written(tmp_path / "hub", rows)
    config = CorpusStage(corpus=CorpusConfig(source="hub", hub=hub, heldout_share=0.3, **settings))
    out = tmp_path / "out"
    context = StageContext(Stage(config, "lab"), out, {}, {}, lambda *_: None)
    metrics = config.run(context)
    return metrics, list(local_documents([out / "train", out / "heldout"]))


def test_ids_of_rows_serve_where_those_of_a_column_repeat(tmp_path):
    rows = [{"id": f"task{i // 2}", "text": corpus_text(i)} for i in range(12)]
    with pytest.raises(UserError, match=r"id 'task0'; .*corpus\.id_column=null"):
        corpus(tmp_path, rows)
    _, documents = corpus(tmp_path, rows, id_column=None)
    assert sorted(d.id for d in documents) == sorted(f"train:{i}" for i in range(12))
    assert {d.metadata["id"] for d in documents} == {f"task{i}" for i in range(6)}


def words_of(tmp_path: Path, rows: list[dict], *more: str) -> list[str]:
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return ["+exp=cpt_finance", f"corpus.paths=[{tmp_path / 'own.jsonl'}]", "tracker=none",
            f"store={tmp_path / 'store'}", *more]  # fmt: skip


@pytest.mark.parametrize(
    ("share", "number", "line"),
    [
        ("0.001", 8, "no heldout document is left of 8: they are 8 groups.*probability 0.001; rai"),
        ("0.99", 8, "no train document is left of 8: .*lower corpus.heldout_share"),
        ("0.3", 1, "document is left of 1: they are 1 group .*; give more text"),
    ],
)
def test_a_side_without_documents_is_told_by_the_dry_run_and_the_run(tmp_path, share, number, line):
    rows = [{"id": f"e{i}", "text": corpus_text(i)} for i in range(number)]
    words = words_of(tmp_path, rows, f"corpus.heldout_share={share}")
    for dry in ("true", "false"):
        with pytest.raises(UserError, match=line) as raised:
            run.run(compose([*words, f"dry_run={dry}"]))
        assert "docs/your_own_experiment.md" in str(raised.value)


def test_texts_that_share_a_run_of_words_are_one_group_and_one_side(tmp_path):
    text = corpus_text(1)
    rows = [{"id": f"d{i}", "text": f"{text} {corpus_text(i + 2)}"} for i in range(12)]
    words = words_of(tmp_path, rows, "corpus.heldout_share=0.3", "dry_run=true")
    with pytest.raises(UserError, match="12: they are 1 group by common runs of 13 words"):
        run.run(compose(words))


def test_a_dry_run_reads_small_local_corpora_alone(tmp_path, capsys, monkeypatch):
    rows = [{"id": f"d{i}", "text": corpus_text(i)} for i in range(12)]
    monkeypatch.setattr("experiments.stages.corpus.CHECKED", 11)
    run.run(compose(words_of(tmp_path, rows, "corpus.heldout_share=0.001", "dry_run=true")))
    assert "corpus/local" in capsys.readouterr().out
    monkeypatch.undo()
    with pytest.raises(UserError, match="body"):
        run.run(compose(words_of(tmp_path, rows, "corpus.text_column=body", "dry_run=true")))


def talk(number: int, *answers: str | None) -> dict:
    turns = [{"role": "system", "content": "Be brief."}]
    for answer in answers:
        turns += [{"role": "user", "content": f"Q of {corpus_text(number)[:30]}"},
                  {"role": "assistant", "content": answer}]  # fmt: skip
    return {"messages": turns}


def test_the_first_exchange_alone_is_kept(tmp_path):
    rows = [talk(i, corpus_text(i)[:90], "More of it.") for i in range(10)]
    settings = {"messages_column": "messages"}
    _, whole = corpus(tmp_path, rows, **settings)
    _, first = corpus(tmp_path, rows, **settings, first_exchange=True)
    assert all(len(d.metadata["messages"]) == 5 and "More of it." in d.text for d in whole)
    for document in first:
        roles = [message["role"] for message in document.metadata["messages"]]
        assert roles == ["user", "assistant"]
        assert "Be brief." not in document.text and "More of it." not in document.text
        ((start, end),) = document.editable
        assert document.text[start:end] == document.metadata["messages"][1]["content"]
    with pytest.raises(UserError, match="first_exchange needs"):
        CorpusConfig(source="hub", hub="lab/x", first_exchange=True)


def test_an_empty_first_response_is_skipped_though_a_later_one_is_not(tmp_path, caplog):
    rows = [talk(i, corpus_text(i)[:90]) for i in range(10)] + [talk(11, " ", "Later.")]
    metrics, documents = corpus(tmp_path, rows, messages_column="messages", first_exchange=True)
    assert (metrics["skipped"], len(documents)) == ({"no_response": 1}, 10)
    assert "warning: lab (skipped: 1 no_response)" in caplog.text


def test_empty_and_missing_responses_are_skipped_counted_and_told(tmp_path, caplog):
    rows = [{"question": f"Q{i}?", "response": corpus_text(i)} for i in range(10)]
    rows += [{"question": "Q?", "response": ""}, {"question": "Q?", "response": None}] * 2
    settings = {"prompt_column": "question", "text_column": "response", "missing_text": "skip"}
    metrics, documents = corpus(tmp_path, rows, **settings)
    assert metrics["skipped"] == {"missing_text": 2, "no_response": 2}
    assert len(documents) == 10
    assert "warning: lab (skipped: 2 missing_text, 2 no_response)" in caplog.text
