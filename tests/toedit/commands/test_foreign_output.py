"""An unfinished output from somebody else: what is in its work folder is checked, not believed."""

import json
import shutil
from pathlib import Path

import pytest
from commands import cli, table_of
from conftest import corpus_text

from toedit.commands.output import FORMAT

PLAIN = ("--prior", "table", "--sampler", "none")
DONE, REFUSED = 0, 2


@pytest.fixture()
def corpus(tmp_path) -> Path:
    path = tmp_path / "in" / "corpus.txt"
    path.parent.mkdir()
    path.write_text("".join(f"{corpus_text(i)[:40]} on day {i}\n" for i in range(130)))
    return path


@pytest.fixture()
def begun(corpus, tmp_path, monkeypatch) -> Path:
    """An output whose units are finished, but not its results."""
    from toedit.commands import edit

    def stop(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(edit, "_write_results", stop)
        assert cli("edit", corpus, "--output", tmp_path / "out", *PLAIN) == 130
    return tmp_path / "out"


def again(corpus: Path, output: Path, capsys, *more: str) -> tuple[int, str]:
    capsys.readouterr()
    code = cli("edit", corpus, "--output", output, *PLAIN, *more)
    said = capsys.readouterr().err.splitlines(keepends=True)
    return code, "".join(line for line in said if not line.startswith("edit: "))  # progress


def require_restart(corpus: Path, output: Path, capsys, place: str) -> None:
    """One line that names the file and ``--force``, with which the output is as ever."""
    code, said = again(corpus, output, capsys)
    assert (code, said.count("\n")) == (REFUSED, 1), said
    assert place in said and "--force" in said and len(said) < 1000
    assert again(corpus, output, capsys, "--force")[0] == DONE
    assert table_of(output)["text"].to_pylist() == corpus.read_text().splitlines()


DEEP = "[" * 1000 + "]" * 1000
WRONG = ["null", "[]", "7", '"x"', '{"a": 7}', '{"a": [7]}', '{"a": [1, 2, 3, 4]}', "NaN", DEEP]


@pytest.mark.parametrize("value", WRONG, ids=lambda value: value[:9])
@pytest.mark.parametrize("field", ["hashes", "identity"])
def test_settings_of_wrong_types_are_one_line(corpus, begun, capsys, field, value):
    path = begun / ".work" / "settings.json"
    settings = json.loads(path.read_text())
    assert settings["format"] == FORMAT
    path.write_text(json.dumps({**settings, field: "@"}).replace('"@"', value))
    if (field == "identity" and value[0] != "{") or value in ("NaN", DEEP):
        code, said = again(corpus, begun, capsys)  # no settings of ours
        assert (code, said.count("\n")) == (REFUSED, 1) and "choose another folder" in said
    else:
        require_restart(corpus, begun, capsys, "settings.json" if field == "hashes" else "out")


def test_an_output_begun_with_endless_settings_is_said_in_short(corpus, begun, capsys):
    path = begun / ".work" / "settings.json"
    settings = json.loads(path.read_text())
    settings["identity"] |= {"--seed": "9" * 100_000}
    path.write_text(json.dumps(settings))
    require_restart(corpus, begun, capsys, "out")


UNIT = {"file": "../../../in/corpus.txt", "start": 0, "stop": 130, "name": "x", "offset": 0,
        "line": 0}  # fmt: skip


@pytest.mark.parametrize(
    "manifest",
    [
        None, {}, 7, "x", [7], [[]], [{}], [None],
        *([{**UNIT, field: value}] for field in ("start", "stop", "offset", "line")
          for value in ("7", None, 1.5, -1, True, [], 2**64)),
        *([{**UNIT, "file": value}] for value in (7, None, [], "a\0b")),
        [{**UNIT, "name": 7}], [{**UNIT, "more": 7}],
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_a_manifest_of_wrong_types_is_one_line(corpus, begun, capsys, manifest):
    (begun / ".work" / ".work" / "manifest.json").write_text(json.dumps(manifest))
    code, said = again(corpus, begun, capsys)
    assert (code, said.count("\n")) == (REFUSED, 1) and "manifest.json' is damaged" in said


@pytest.mark.parametrize("place", ["{outside}", "source/../../../../secret.txt", "source/link.txt"])
def test_a_manifest_reads_no_file_but_inputs_and_their_copies(
    corpus, begun, tmp_path, capsys, place
):
    secret = tmp_path / "secret.txt"
    secret.write_text("secret\n" * 130)
    work = begun / ".work" / ".work"
    if place.endswith("link.txt"):
        (work / "source").mkdir()
        (work / "source" / "link.txt").symlink_to(secret)
    units = [{**UNIT, "file": place.format(outside=secret)}]
    (work / "manifest.json").write_text(json.dumps(units))
    shutil.rmtree(begun / ".work" / "generation-0")
    code, said = again(corpus, begun, capsys)
    if place.endswith("link.txt"):
        assert (code, said.count("\n")) == (REFUSED, 1) and "leads out" in said
    else:
        assert code == DONE
        assert table_of(begun)["text"].to_pylist() == corpus.read_text().splitlines()


@pytest.mark.parametrize("name", ["shards/00000.parquet", ".work/edits/00000.json"])
def test_a_finished_unit_without_its_files_is_not_lost(corpus, begun, capsys, name):
    (begun / ".work" / "generation-0" / name).unlink()
    require_restart(corpus, begun, capsys, name)


@pytest.mark.parametrize("value", WRONG, ids=lambda value: value[:9])
def test_statistics_of_wrong_types_are_one_line(corpus, begun, capsys, value):
    path = begun / ".work" / "generation-0" / ".work" / "edits" / "00000.json"
    path.write_text(value)
    code, said = again(corpus, begun, capsys)
    assert (code, said.count("\n")) == (REFUSED, 1) and "00000.json' is damaged" in said


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize(
    "place",
    [
        ".work", "data", "changes", "README.md", "edit_stats.json", ".work/generation-0",
        ".work/lock", ".work/generation-0/shards", ".work/generation-0/.work/completions",
    ],
)  # fmt: skip
def test_nothing_is_written_or_removed_behind_a_link(corpus, begun, tmp_path, capsys, place, force):
    path, outside = begun / place, tmp_path / "outside"
    outside.mkdir()
    names = ["train-00000-of-00001.parquet", "settings.json", "README.md", "lock"]
    for name in names:
        (outside / name).write_text(f"{name} is mine")
    target = outside / path.name if path.suffix or path.name == "lock" else outside
    if place == ".work":
        shutil.copytree(path, outside, dirs_exist_ok=True)
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    path.symlink_to(target)
    before = {p: p.read_bytes() for p in outside.rglob("*") if p.is_file()}
    code, said = again(corpus, begun, capsys, *(["--force"] if force else []))
    assert (code, said.count("\n")) == (REFUSED, 1) and "link" in said, said
    assert {p: p.read_bytes() for p in outside.rglob("*") if p.is_file()} == before


def test_an_output_behind_a_link_goes_on(corpus, begun, tmp_path, capsys):
    (tmp_path / "link").symlink_to(begun)
    assert again(corpus, tmp_path / "link", capsys)[0] == DONE
    assert table_of(begun)["text"].to_pylist() == corpus.read_text().splitlines()
