"""docs/your_own_experiment.md does what it says: its file, its numbers, and its errors."""

import json
import re
from pathlib import Path

import pytest
from conftest import corpus_text

from experiments import run
from experiments.config import Config
from experiments.config.compose import to_config
from experiments.config.explain import explain_errors
from experiments.plans import plan
from toedit.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "your_own_experiment.md").read_text()
TINY = ["prior=table", "tracker=none", "model.separator=null", "train.block_size=64",
        "train.batch_tokens=128", "train.tokens=512", "train.checkpoint_steps=2"]  # fmt: skip


@pytest.fixture()
def place(tmp_path, monkeypatch) -> Path:
    """A current folder with the file of the page and a corpus."""
    ((name, text),) = re.findall(r"^```yaml\n# (\S+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len([line for line in text.splitlines() if not line.startswith("#")]) == 9
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text(text)
    write(tmp_path, [{"id": f"d{i}", "text": corpus_text(i)} for i in range(40)])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(place: Path, rows: list[dict]) -> None:
    (place / "my_corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def composed(*words: str) -> Config:
    """The configuration of the page's file, as ``--config-dir my +exp=my_texts`` gives it."""
    from hydra import compose, initialize_config_dir

    from experiments import CONF
    from experiments.config.compose import register

    register()
    search = f"hydra.searchpath=[file://{Path('my').resolve()}]"
    with explain_errors(), initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        return to_config(compose("config", [search, "+exp=my_texts", *words]))


def test_the_file_is_composed_and_planned_with_the_numbers_of_the_page(place, capsys):
    config = composed("dry_run=true")
    assert (config.name, config.corpus.source, config.edit.strict) == ("my_texts", "local", True)
    train = config.train
    sequences = train.batch_tokens // train.block_size
    said = f"{train.tokens} / {train.batch_tokens} = {train.steps} steps of {sequences} sequences"
    assert f"{said} of {train.block_size} tokens" in PAGE
    kinds = [stage.kind for stage in plan(config)]
    assert kinds.count("train") == 2 and kinds.count("evaluate") == 3
    run.run(config)
    assert "train/edited" in capsys.readouterr().out and not (place / "store").exists()


ERRORS = [
    ("no heldout document is left", ["corpus.heldout_share=0.0001"], None),
    ("batch_tokens=500 must be a multiple of block_size * micro_batch",
     ["train.batch_tokens=500"], None),
    ("is less than one step", ["train.tokens=100"], None),
    ("no column 'text'", [], [{"id": i, "body": corpus_text(i)} for i in range(40)]),
    ("two documents have the id", [], [{"id": 1, "text": corpus_text(i)} for i in range(40)]),
    ("continues a trained model", ["model=gpt2_4l"], None),
    ("unknown field", ["train.token=9"], None),
    ("eval.limits='piqa' is unknown", ["eval.suite=code_embedded", "eval.limits={piqa: 9}"], None),
]  # fmt: skip


@pytest.mark.parametrize(("line", "words", "rows"), ERRORS)
def test_the_errors_of_the_page_end_a_dry_run_in_one_line(place, line, words, rows):
    assert f"| {line} |" in PAGE
    if rows is not None:
        write(place, rows)
    with pytest.raises(UserError) as raised:
        run.run(composed("dry_run=true", *words))
    assert line in str(raised.value) and "\n" not in str(raised.value)


def test_every_error_of_the_page_is_tried_here():
    listed = re.findall(r"^\| (.*?) \|", PAGE.partition("## Errors")[2], re.MULTILINE)[1:]
    tried = [line for line, _, _ in ERRORS]
    assert listed == [*tried[:2], "tokens but train.tokens asks for", *tried[2:]]


@pytest.mark.slow
def test_the_experiment_runs_and_names_a_text_that_is_too_short(place, tiny_model):
    words = [*TINY, f"model.model={tiny_model}"]
    finished = run.run(composed(*words))
    assert finished.records["train/edited"]["metrics"]["steps"] == 4
    assert "held-out bits per byte" in (finished.report / "results.md").read_text()
    with pytest.raises(UserError, match=r"tokens but train.tokens asks for"):
        run.run(composed(*words, "train.tokens=99840"))
