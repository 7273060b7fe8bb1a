"""The output folder: a run continues what it began, one process works on it, --force is careful."""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import Command, cli, lines, table_of
from conftest import corpus_text

from toedit.locks import locked, process

TABLE = ("--prior", "table")
PLAIN = (*TABLE, "--sampler", "none")
DONE, REFUSED = 0, 2
BEGUN = "needs the command sbatch"


@pytest.fixture()
def begin(monkeypatch, capsys):
    """Begins an output and leaves it there, since Slurm is missing; returns what it says.

    The marker of a unit that the corpus does not have stands for finished work.
    """

    def begin(*words, finished: bool = True) -> str:
        capsys.readouterr()
        with monkeypatch.context() as context:
            context.setenv("PATH", "/nowhere")
            assert cli(*words, "--engine", "slurm") == REFUSED
        if finished:
            output = words[words.index("--output") + 1]
            done = output / ".work" / "generation-0" / ".work" / "completions" / "99999"
            done.parent.mkdir(parents=True, exist_ok=True)
            done.touch()
        return capsys.readouterr().err

    return begin


@pytest.fixture()
def corpus(tmp_path) -> Path:
    path = tmp_path / "in" / "corpus.txt"
    path.parent.mkdir()
    path.write_text("".join(f"{corpus_text(i)[:60]} on day {i}\n" for i in range(150)))
    return path


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("suffix", ["txt", "jsonl.gz"])
@pytest.mark.parametrize("keep_time", [False, True])
def test_a_repaired_input_is_never_mixed_with_what_it_was(
    tmp_path, capsys, begin, suffix, keep_time
):
    path, output = tmp_path / f"notes.{suffix}", tmp_path / "out"
    texts = [f"note {i} of the gray sea" for i in range(200)]

    def write(word: str, broken: bool) -> None:
        rows = [text.replace("gray", word) for text in texts]
        if suffix == "txt":
            content = "".join(f"{row}\n" for row in rows).encode()
            path.write_bytes(content.replace(b"note 170", b"n\xffte 170") if broken else content)
        else:
            content = lines({"id": i, "text": row} for i, row in enumerate(rows))
            path.write_bytes(gzip.compress(content.encode(), 0, mtime=0))

    write("gray", broken=True)
    if suffix == "txt":
        assert cli("edit", path, "--output", output, *PLAIN) == REFUSED
        assert len(list(output.glob(".work/*/.work/completions/*"))) == 2
    else:
        assert BEGUN in begin("edit", path, "--output", output, *PLAIN)
    before = path.stat()
    write("grey", broken=False)
    assert path.stat().st_size == before.st_size
    if keep_time:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    capsys.readouterr()
    assert cli("edit", path, "--output", output, *PLAIN) == REFUSED
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"input 'notes.{suffix}': {before.st_size} bytes, sha256 " in said
    assert "--force" in said
    assert cli("edit", path, "--output", output, *PLAIN, "--force") == DONE
    rows = table_of(output)["text"].to_pylist()
    assert rows == [text.replace("gray", "grey") for text in texts]
    source = json.loads((output / "edit_stats.json").read_text())["settings"]["inputs"]
    assert [(s["file"], s["bytes"]) for s in source] == [(str(path), before.st_size)]
    assert f"\n- {path}\n" in (output / "README.md").read_text()


def test_an_input_that_is_touched_or_lies_elsewhere_continues(corpus, tmp_path, begin, monkeypatch):
    output, wanted = tmp_path / "a" / "out", corpus.read_text().splitlines()
    more = ("--output", output, *PLAIN)
    assert BEGUN in begin("edit", corpus, *more)
    os.utime(corpus, ns=(1, 1))
    assert BEGUN in begin("edit", corpus, *more)
    monkeypatch.chdir(corpus.parent)
    assert BEGUN in begin("edit", "./corpus.txt", *more)
    # A copy of the input continues, without what is now at the place of the first.
    copy = tmp_path / "b" / "c" / "corpus.txt"
    copy.parent.mkdir(parents=True)
    shutil.copy(corpus, copy)
    corpus.write_text("something else\n" * 150)
    moved = tmp_path / "b" / "c" / "d" / "out"
    moved.parent.mkdir()
    output.rename(moved)
    assert cli("edit", copy, "--output", moved, *PLAIN) == DONE
    assert table_of(moved)["text"].to_pylist() == wanted


def test_what_changed_is_named(corpus, tmp_path, begin, capsys):
    folder, output = corpus.parent, tmp_path / "out"

    def said(*options, inputs=(folder,)) -> str:
        capsys.readouterr()
        assert cli("edit", *inputs, "--output", output, *(options or TABLE)) == REFUSED
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    (folder / "b.txt").write_text("two\n")
    assert BEGUN in begin("edit", folder, "--output", output, *TABLE)
    assert "--threshold: 0.99 -> 0.5" in said(*TABLE, "--threshold", "0.5")
    assert "--messages-column: none -> chat" in said(*TABLE, "--messages-column", "chat")
    assert "--prior: table -> embedded@" in said("--prior", "embedded")
    assert "the order of the inputs" in said(inputs=(folder / "corpus.txt", folder / "b.txt"))
    (folder / "b.txt").rename(folder / "c.txt")
    both = said()
    assert "input 'b.txt': 4 bytes" in both
    assert "input 'c.txt': none -> 4 bytes" in both


def test_a_changed_model_is_not_continued_with(corpus, tiny_model, tmp_path, begin, capsys):
    names = ("first", "second", "counting")
    models = [shutil.copytree(tiny_model, tmp_path / name) for name in names]
    for model in models:
        (model / "chat_template.jinja").write_text("{{ messages }}")
    output = tmp_path / "out"

    def again(first: Path = models[0]) -> str:
        return begin("edit", corpus, "--output", output, "--prior", first, "--prior", models[1],
                     "--count-tokens", models[2])  # fmt: skip

    assert BEGUN in again()
    for model, option, name in [
        (models[0], "--prior", "model.safetensors"),
        (models[0], "--prior", "tokenizer.json"),
        (models[0], "--prior", "chat_template.jinja"),
        (models[1], "--prior 2", "model.safetensors"),
        (models[2], "--count-tokens", "tokenizer.json"),
    ]:
        content = (model / name).read_bytes()
        last = bytes([content[-1] ^ 1])
        (model / name).write_bytes(content[:-1] + last)
        assert f"({option} file {name}: " in again()
        (model / name).write_bytes(content)
        assert BEGUN in again()  # as it was
    assert BEGUN in again(models[0].rename(tmp_path / "renamed"))


def test_a_changed_plugin_is_not_continued_with(corpus, tmp_path, begin, capsys, monkeypatch):
    module = tmp_path / "own_prior_of_a_test.py"
    module.write_text("from toedit.priors.table import TablePrior\n\n\n"
                      "class Own(TablePrior):\n"
                      "    def __init__(self, model):\n        super().__init__()\n")  # fmt: skip
    monkeypatch.syspath_prepend(tmp_path)
    command = ("edit", corpus, "--output", tmp_path / "out", "--sampler", "none",
               "--prior", "own_prior_of_a_test:Own")  # fmt: skip
    assert BEGUN in begin(*command)
    text = module.read_text()
    module.write_text(f"{text}\n\nLATER = 1\n")
    assert cli(*command) == REFUSED
    assert "own_prior_of_a_test.py:" in capsys.readouterr().err
    module.write_text(text)
    assert cli(*command) == DONE


def test_an_output_begun_by_the_former_version_is_refused_in_one_line(
    corpus, tmp_path, begin, capsys
):
    output = tmp_path / "out"
    command = ("edit", corpus, "--output", output, *PLAIN)
    assert BEGUN in begin(*command)
    former = {"inputs": [[str(corpus), corpus.stat().st_size]], "seed": 0}
    (output / ".work" / "settings.json").write_text(json.dumps(former))
    capsys.readouterr()
    assert cli(*command) == REFUSED
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "by another version of toedit" in said
    assert cli(*command, "--force") == DONE


def test_an_input_that_fails_its_checks_may_be_repaired_without_force(tmp_path):
    path, output = tmp_path / "twins.jsonl", tmp_path / "out"
    path.write_text(lines([{"id": "a", "text": "x"}, {"id": "a", "text": "y"}]))
    assert cli("edit", path, "--output", output, *PLAIN) == REFUSED
    path.write_text(lines([{"id": "a", "text": "x"}, {"id": "b", "text": "y"}]))
    assert cli("edit", path, "--output", output, *PLAIN) == DONE  # no unit was begun


@pytest.mark.parametrize(
    ("name", "options", "line"),
    [
        ("a.jsonl", [], "'a.jsonl' row 0 has no column 'text'; its columns: key, body, chat; "
         "name it with --text-column (corpus.text_column), or for such records --missing-text "
         "(corpus.missing_text) keep passes them through, skip drops them"),
        ("a.jsonl.gz", ["--messages-column", "x"], "--messages-column (corpus.messages_column), "),
        ("a.jsonl.gz", ["--messages-column", "body"], "'a.jsonl.gz' row 0: messages must be a lis"),
        ("a.parquet", ["--prompt-column", "body"], "'a.parquet' row 0 has no column 'text'"),
        ("a.jsonl", ["--missing-text", "skip"], "no record has a column 'text'; their columns: "),
    ],
)  # fmt: skip
def test_columns_are_checked_before_anything_is_made(tmp_path, capsys, name, options, line):
    import pandas

    rows = [{"key": f"k{i}", "body": corpus_text(i), "chat": [{"role": "user"}]} for i in range(3)]
    path, text = tmp_path / name, lines(rows)
    if name.endswith(".parquet"):
        pandas.DataFrame(rows).to_parquet(path)
    else:
        path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    for command in ("edit", "score"):
        prior = ("--prior", "org/a-model-that-nobody-has")  # which would be looked up first
        assert cli(command, path, "--output", tmp_path / "out", *prior, *options) == REFUSED
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert line in said
    assert sorted(p.name for p in tmp_path.iterdir()) == [name]


def test_an_id_column_that_no_record_has_is_named(tmp_path, caplog):
    path = tmp_path / "a.jsonl"
    path.write_text(lines([{"key": "k", "text": corpus_text(1)}]))
    assert cli("edit", path, "--output", tmp_path / "out", *PLAIN, "--id-column", "keys") == DONE
    assert "no column 'keys' (their columns: key, text): ids are file and row" in caplog.text
    caplog.clear()
    assert cli("edit", path, "--output", tmp_path / "b", *PLAIN, "--id-column", "key") == DONE
    assert not caplog.text


def test_an_output_without_a_finished_unit_is_begun_again_without_force(corpus, tmp_path, begin):
    output = tmp_path / "out"
    assert BEGUN in begin("edit", corpus, "--output", output, *TABLE, finished=False)
    assert cli("edit", corpus, "--output", output, *PLAIN, "--seed", 7) == DONE
    settings = json.loads((output / "edit_stats.json").read_text())["settings"]
    assert (settings["seed"], settings["rule"]["sampler"]) == (7, "none")


def test_an_input_that_changes_while_it_is_read_is_named(corpus, tmp_path, capsys, monkeypatch):
    module = tmp_path / "writing_prior_of_a_test.py"
    module.write_text("from toedit.priors.table import TablePrior\n\n\nclass Own(TablePrior):\n"
                      "    def __init__(self, model):\n        super().__init__()\n"
                      f"        with open({str(corpus)!r}, 'a') as handle:\n"
                      "            handle.write('one more\\n')\n")  # fmt: skip
    monkeypatch.syspath_prepend(tmp_path)
    prior = ("--prior", "writing_prior_of_a_test:Own", "--sampler", "none")
    assert cli("edit", corpus, "--output", tmp_path / "out", *prior) == DONE
    assert f"{str(corpus)!r} changed while it was read" in capsys.readouterr().err


def test_a_second_process_is_refused_and_a_dead_one_holds_nothing(corpus, tmp_path, capsys):
    output = tmp_path / "out"
    lock = output / ".work" / "lock"
    for command in ("edit", "score"):
        with locked(lock, "it"):
            assert cli(command, corpus, "--output", output, "--prior", "table") == REFUSED
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert f"{process()} works on the output {str(output)!r}" in said
    code = "import fcntl, time\nf = open({!r}, 'a')\nfcntl.flock(f, fcntl.LOCK_EX)\nprint(1)\n"
    holder = subprocess.Popen([sys.executable, "-uc", code.format(str(lock)) + "time.sleep(60)"],
                              stdout=subprocess.PIPE)  # fmt: skip
    assert holder.stdout.readline() == b"1\n"
    assert cli("edit", corpus, "--output", output, *PLAIN) == REFUSED
    holder.kill()
    holder.wait()
    assert cli("edit", corpus, "--output", output, *PLAIN) == DONE
    assert sorted(path.name for path in output.iterdir()) == [
        "README.md", "changes", "data", "edit_stats.json"
    ]  # fmt: skip


def test_of_three_processes_at_once_one_writes_the_output(corpus, tmp_path):
    output = tmp_path / "out"
    words = ["edit", str(corpus), "--output", str(output), "--prior", "table",
             "--preset", "released_code"]  # fmt: skip
    commands = [Command(words, tmp_path / f"log{n}", "toedit.__main__") for n in range(3)]
    codes = sorted(command.wait() for command in commands)
    said = [command.output for command in commands]
    assert codes == [DONE, REFUSED, REFUSED], said
    refusals = [text for text in said if text.startswith("error: ")]
    assert len(refusals) == 2
    assert all("works on the output" in t or "finished output" in t for t in refusals), said
    assert len(table_of(output)) == 150
    assert len(table_of(output, "changes")) > 0
    assert sorted(path.name for path in output.iterdir()) == [
        "README.md", "changes", "data", "edit_stats.json"
    ]  # fmt: skip


@pytest.mark.slow
def test_a_slurm_job_holds_an_output_for_other_engines_and_force(corpus, tmp_path, slurm, capsys):
    command = ("edit", corpus, "--output", tmp_path / "out", *PLAIN)
    on_slurm = ("--engine", "slurm", "--sbatch", "hold")
    for _ in range(2):  # the same command waits
        assert cli(*command, *on_slurm) == 75
        assert re.search(r": Slurm job \d+: 3 PENDING|as Slurm job", capsys.readouterr().out)
    before = tree(tmp_path / "out")
    for more in ([], ["--force"], [*on_slurm, "--force"]):
        assert cli(*command, *more) == REFUSED
        said = capsys.readouterr().err
        assert re.search(r"as Slurm job \d+: 3 PENDING \(JobHeldUser\) \(log /.*_\*\.out\)", said)
        assert re.search(r"end it \(scancel \d+\) first, or wait$", said.strip())
    assert tree(tmp_path / "out").keys() == before.keys()
    slurm.clear()
    assert cli(*command) == DONE


@pytest.mark.parametrize(
    "place", ["notes.txt", "data/mine.csv", "changes/train.parquet", ".work/x"]
)
@pytest.mark.parametrize("finished", [True, False])
def test_force_keeps_everything_if_a_file_is_not_ours(
    corpus, tmp_path, begin, capsys, place, finished
):
    output = tmp_path / "out"
    command = ("edit", corpus, "--output", output, *PLAIN)
    assert cli(*command) == DONE if finished else BEGUN in begin(*command)
    (output / place).parent.mkdir(exist_ok=True)
    (output / place).write_text("mine")
    before = tree(output)
    assert cli(*command, "--force") == REFUSED
    assert f"holds {place!r}" in capsys.readouterr().err
    after = tree(output)
    after.pop(".work/lock", None)
    before.pop(".work/lock", None)
    assert after == before
    (output / place).unlink()
    assert cli(*command, "--force") == DONE


@pytest.mark.parametrize("content", ["{}", "[]", "mine", '{"settings": "dark"}'])
def test_names_alone_make_no_output(corpus, tmp_path, capsys, content):
    output = tmp_path / "out"
    (output / "data").mkdir(parents=True)
    (output / ".work").mkdir()
    for name in ("edit_stats.json", "README.md", "data/train-00000-of-00001.parquet",
                 ".work/settings.json"):  # fmt: skip
        (output / name).write_text(content)
    before = tree(output)
    for more in ([], ["--force"]):
        assert cli("edit", corpus, "--output", output, *PLAIN, *more) == REFUSED
        assert "no output of this command" in capsys.readouterr().err
    assert tree(output) == before


def test_a_process_may_edit_again_what_has_become_shorter(tmp_path):
    output = tmp_path / "out"
    rows = [{"id": i, "text": corpus_text(i)} for i in range(5)]
    for number in (5, 3):
        (tmp_path / "a.jsonl").write_text(lines(rows[:number]))
        options = ["--prior", "table", "--force"]
        assert cli("edit", tmp_path / "a.jsonl", "--output", output, *options) == 0
        assert len(table_of(output)) == number


def test_cards_and_statistics_hold_neither_homes_nor_secrets(tmp_path, capsys, monkeypatch):
    """Inputs are written as typed; a home folder as ``~``, the current one as ``.``."""
    home, elsewhere = tmp_path / "homes" / "ada", tmp_path / "elsewhere"
    for folder in (home / "corpora", home / "here", elsewhere):
        folder.mkdir(parents=True)
        (folder / "verses.txt").write_text("sea and sand and sea and sand\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(home / "here")
    inputs = [home / "corpora" / "verses.txt", "verses.txt", elsewhere / "verses.txt"]
    for path in inputs[1:]:  # other files, else only the first is read
        Path(path).write_text(f"sand and sea and {len(str(path))}\n")
    licence = "see https://ada:lovelace1@licences.org/x?token=q1w2e3"
    options = ("--output", "out", *TABLE, "--license", licence)
    assert cli("edit", *inputs, *options) == DONE
    assert cli("score", *inputs, "--output", "scores", *TABLE) == DONE
    named = ["~/corpora/verses.txt", "verses.txt", str(elsewhere / "verses.txt")]
    for path in ("out/README.md", "out/edit_stats.json", "scores/score_stats.json"):
        text = Path(path).read_text()
        assert all(name in text for name in named), path
        assert str(home) not in text and "lovelace1" not in text and "q1w2e3" not in text
    settings = json.loads(Path("out/edit_stats.json").read_text())["settings"]
    assert [source["file"] for source in settings["inputs"]] == named
    assert all(len(source["sha256"]) == 64 for source in settings["inputs"])
