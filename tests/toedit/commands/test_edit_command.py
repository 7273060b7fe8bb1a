"""The command line on real files: inputs of every kind, outputs others can read, interruptions."""

import gzip
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import ROWS, cli, lines, table_of
from conftest import corpus_text

from toedit.corpora.documents import Reading
from toedit.corpora.files import parquet_files
from toedit.priors.base import CandidateRange
from toedit.priors.loading import load_tokenizer
from toedit.priors.table import TablePrior
from toedit.rules import PRESETS


def test_every_column_passes_through_and_others_can_read_it(edit, source, tmp_path, capsys):
    from datasets import load_dataset

    output = tmp_path / "out"
    assert edit(source, "--output", output, "--license", "cc-by-4.0") == 0
    assert "tokens changed" in capsys.readouterr().out
    before, after = pq.read_table(source), table_of(output)
    assert after.schema.equals(before.schema)
    assert after.drop_columns("text").equals(before.drop_columns("text"))
    texts = list(zip(before["text"].to_pylist(), after["text"].to_pylist(), strict=True))
    assert any(a != b for a, b in texts)
    stats = json.loads((output / "edit_stats.json").read_text())
    assert stats["changed"] == stats["eligible"] == len(table_of(output, "changes"))
    assert stats["documents"] == 90
    card = (output / "README.md").read_text()
    assert 'license: "cc-by-4.0"' in card
    assert "p >= 1e-06" in card
    loaded = load_dataset(str(output), cache_dir=str(tmp_path / "cache"))["train"]
    assert loaded["text"][:] == after["text"].to_pylist()
    assert loaded[4]["tags"] == ROWS[4]["tags"]
    assert sorted(p.name for p in output.iterdir()) == [
        "README.md", "changes", "data", "edit_stats.json"
    ]  # fmt: skip


def test_another_output_of_the_same_name_is_not_taken_for_the_first(edit, source, tmp_path):
    from datasets import load_dataset

    loaded = []
    for place, seed in (("one", 0), ("two", 1), ("two", 0)):
        output = tmp_path / place / "edited"
        assert edit(source, "--output", output, "--seed", seed, "--force") == 0
        for part, column in (("default", "text"), ("changes", "old")):
            data = load_dataset(str(output), part, split="train", cache_dir=str(tmp_path / "cache"))
            found = table_of(output, "data" if part == "default" else part)[column]
            assert data[column][:] == found.to_pylist()
        loaded.append(table_of(output)["text"].to_pylist())
    assert loaded[0] == loaded[2] != loaded[1]


ODD = ["-x", "--x", "-1", "-o=u t", "a b, (c)", "it's", 'say "x"', "[1]*?", "ü 中", "a#b%20",
       "a::b", "a~", "$HOME", "a\\b", "a\nb"]  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_folders_of_any_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    (tmp_path / name / "in put.jsonl").write_text(lines([{"id": "a", "text": corpus_text(0)}]))
    options = ["--prior", "table", "--preset", "forced"]
    assert cli("edit", name, "--output", f"{name}.out", *options) == 0
    assert cli("diff", name, f"{name}.out") == 0
    assert cli("score", "--output", f"{name}.s", "--prior", "table", "--", name) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, f"{name}.out", f"{name}.s"])


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--temperature", "-1"], "--temperature -1.0 is out of range"),
        (["--temperature", "-1e-3"], "--temperature -0.001 is out of range"),
        (["--temp", "-inf"], "--temperature -inf is out of range"),
        (["--k=-5"], "--k -5 is out of range"),
        (["--threshold", "-x"], "invalid float value: '-x'"),
        (["--text-column", "-x"], "has no column '-x'"),
        (["--text-column", "--force"], "--text-column: expected one argument"),
        (["--sampler", "--unknown"], "'--unknown' is unknown"),
        (["-q"], "unrecognized arguments: -q"),
    ],
)
def test_values_that_begin_with_a_dash_are_values(tmp_path, capsys, arguments, line):
    (tmp_path / "in.jsonl").write_text(lines([{"id": "a", "text": "x", "y": "z"}]))
    options = ["--output", tmp_path / "out", "--prior", "table"]
    assert cli("edit", tmp_path / "in.jsonl", *options, *arguments) == 2
    assert line in capsys.readouterr().err.splitlines()[-1]


def test_a_column_whose_name_begins_with_a_dash(tmp_path):
    (tmp_path / "in.jsonl").write_text(lines([{"-i": "a", "--text": corpus_text(1)}]))
    options = ["--prior", "table", "--text-column", "--text", "--id-column", "-i"]
    assert cli("score", tmp_path / "in.jsonl", "--output", tmp_path / "out", *options) == 0
    assert table_of(tmp_path / "out")["id"].to_pylist() == ["a"]


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz", "jsonl.zst", "hub", "folder"])
def test_every_input_gives_the_same_edits(edit, source, tmp_path, suffix):
    from toedit.corpora.prepare import hub_copy

    assert edit(source, "--output", tmp_path / "reference") == 0
    path = tmp_path / f"source.{suffix}"
    text = lines(ROWS)
    if suffix == "jsonl":
        path.write_text(text)
    elif suffix == "jsonl.gz":
        path.write_bytes(gzip.compress(text.encode()))
    elif suffix == "jsonl.zst":
        with pa.output_stream(str(path), compression="zstd") as stream:
            stream.write(text.encode())
    elif suffix == "folder":
        path.mkdir()
        (path / "a.jsonl").write_text(lines(ROWS[:40]))
        pq.write_table(pa.Table.from_pylist(ROWS[40:]), path / "b.parquet")
    else:  # a folder that the hub's library reads stands for a data set of the hub
        (tmp_path / "set").mkdir()
        (tmp_path / "set" / "train.jsonl").write_text(text)
        path = tmp_path / "copy"
        hub_copy(str(tmp_path / "set"), path)
    output = tmp_path / "out"
    assert edit(path, "--output", output) == 0
    reference = table_of(tmp_path / "reference")
    assert table_of(output).select(reference.column_names).to_pylist() == reference.to_pylist()


def test_txt_by_lines_and_by_files(edit, tmp_path):
    folder = tmp_path / "txt"
    folder.mkdir()
    for i in range(3):
        (folder / f"{i}.txt").write_text(f"{corpus_text(i)}\nsecond line {i}\n")
    assert edit(folder, "--output", tmp_path / "lines") == 0
    assert edit(folder, "--output", tmp_path / "files", "--txt", "file") == 0
    by_line, by_file = table_of(tmp_path / "lines"), table_of(tmp_path / "files")
    assert by_line["id"].to_pylist() == [f"{i}.txt:{j}" for i in range(3) for j in range(2)]
    assert by_file["id"].to_pylist() == [f"{i}.txt:0" for i in range(3)]
    assert all(text.endswith("\n") for text in by_file["text"].to_pylist())


def test_json_columns_without_a_common_type_are_kept_as_json(edit, tmp_path):
    rows = [{"id": "a", "text": "x", "odd": 1}, {"id": "b", "text": "y", "odd": {"z": [2]}},
            {"id": "c", "text": "z", "new": 1.5}]  # fmt: skip
    (tmp_path / "odd.jsonl").write_text(lines(rows))
    assert edit(tmp_path / "odd.jsonl", "--output", tmp_path / "out") == 0
    assert table_of(tmp_path / "out").to_pylist() == [
        {"id": "a", "text": "x", "odd": "1", "new": None},
        {"id": "b", "text": "y", "odd": '{"z": [2]}', "new": None},
        {"id": "c", "text": "z", "odd": None, "new": 1.5},
    ]


@pytest.mark.parametrize("suffix", ["jsonl", "txt", "parquet"])
def test_invalid_utf8_is_an_error_replaced_or_skipped(edit, tmp_path, suffix, capsys):
    path = tmp_path / f"bad.{suffix}"
    control = ["--sampler", "none", "--invalid-utf8"]
    if suffix == "parquet":
        binary = pa.array([b"good", b"caf\xe9 bar", b"last"], pa.binary())
        broken = pa.Array.from_buffers(pa.string(), 3, binary.buffers())
        pq.write_table(pa.table({"id": ["0", "1", "2"], "text": broken}), path)
    elif suffix == "txt":
        path.write_bytes(b"good\ncaf\xe9 bar\nlast\n")
    else:
        path.write_bytes(b'{"text": "good"}\n{"text": "caf\xe9 bar"}\n{"text": "last"}\n')
    assert edit(path, "--output", tmp_path / "error") == 2
    assert "is not valid UTF-8" in capsys.readouterr().err
    assert edit(path, "--output", tmp_path / "replace", *control, "replace") == 0
    assert table_of(tmp_path / "replace")["text"].to_pylist() == ["good", "caf\ufffd bar", "last"]
    assert edit(path, "--output", tmp_path / "skip", *control, "skip") == 0
    assert table_of(tmp_path / "skip")["text"].to_pylist() == ["good", "last"]


MESSAGES = [
    {"messages": [{"role": "system", "content": "quick"},
                  {"role": "user", "content": corpus_text(i)},
                  {"role": "assistant", "content": corpus_text(i + 50)},
                  {"role": "user", "content": "and?"}, {"role": "assistant", "content": "quit"}]}
    for i in range(30)
]  # fmt: skip


def test_only_assistant_turns_change_and_their_structure_does_not(edit, tmp_path):
    (tmp_path / "sft.jsonl").write_text(lines(MESSAGES))
    output = tmp_path / "out"
    assert edit(tmp_path / "sft.jsonl", "--output", output, "--messages-column", "messages") == 0
    changed = 0
    for row, original in zip(table_of(output).to_pylist(), MESSAGES, strict=True):
        roles = [message["role"] for message in row["messages"]]
        assert roles == [message["role"] for message in original["messages"]]
        for message, before in zip(row["messages"], original["messages"], strict=True):
            changed += message != before
            assert message == before or message["role"] == "assistant"
    assert changed > 0


def test_only_the_response_of_a_pair_changes(edit, tmp_path):
    rows = [{"prompt": corpus_text(i), "response": corpus_text(i + 50)} for i in range(30)]
    (tmp_path / "pairs.jsonl").write_text(lines(rows))
    output = tmp_path / "out"
    columns = ["--prompt-column", "prompt", "--text-column", "response"]
    assert edit(tmp_path / "pairs.jsonl", "--output", output, *columns) == 0
    table = table_of(output)
    assert table["prompt"].to_pylist() == [row["prompt"] for row in rows]
    assert table["response"].to_pylist() != [row["response"] for row in rows]


def test_generations_equal_editing_the_output_again(edit, source, tmp_path):
    assert edit(source, "--output", tmp_path / "three", "--generations", "3") == 0
    path = source
    for number in range(3):
        assert edit(path, "--output", tmp_path / f"g{number}", "--generation", str(number)) == 0
        path = tmp_path / f"g{number}" / "data"
    assert table_of(tmp_path / "three").equals(table_of(tmp_path / "g2"))
    stats = json.loads((tmp_path / "three" / "edit_stats.json").read_text())
    alone = [json.loads((tmp_path / f"g{n}" / "edit_stats.json").read_text()) for n in range(3)]
    assert [g["eligible"] for g in stats["generations"]] == [g["eligible"] for g in alone]


def test_small_shards_and_two_workers_change_no_document(edit, source, tmp_path):
    one, many = (source, "--output", tmp_path / "one"), (source, "--output", tmp_path / "many")
    assert edit(*one, "--threads", "1") == 0
    assert edit(*many, "--threads", "1", "--shard-size", "0.001", "--workers", "2") == 0
    names = [p.name for p in sorted((tmp_path / "many" / "data").iterdir())]
    assert names == ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"]
    assert table_of(tmp_path / "one").equals(table_of(tmp_path / "many"))
    assert table_of(tmp_path / "one", "changes").equals(table_of(tmp_path / "many", "changes"))


def test_outputs_are_guarded(edit, source, tmp_path, capsys):
    output = tmp_path / "out"
    assert edit(source, "--output", output) == 0
    before = table_of(output)
    assert edit(source, "--output", output) == 2
    assert "--force replaces it" in capsys.readouterr().err
    assert edit(output / "data", "--output", output, "--force") == 2  # would delete its own input
    assert "lies inside the output" in capsys.readouterr().err
    assert edit(tmp_path / "nowhere.txt", "--output", output, "--force") == 2
    assert table_of(output).equals(before)
    assert edit(source, "--output", output, "--force", "--seed", "5") == 0
    assert not table_of(output).equals(before)
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.txt").write_text("keep")
    assert edit(source, "--output", other, "--force") == 2
    assert (other / "mine.txt").exists()
    assert "choose another folder" in capsys.readouterr().err


def test_scores_of_documents_and_tokens(source, tiny_model, tmp_path, capsys):
    output = tmp_path / "scores"
    assert cli("score", source, "--output", output, "--prior", tiny_model, "--tokens") == 0
    said = capsys.readouterr().out
    table = table_of(output).to_pylist()
    assert [row["id"] for row in table] == [str(row["id"]) for row in ROWS]
    stats = json.loads((output / "score_stats.json").read_text())
    assert f"perplexity {stats['perplexity']:.3f}" in said
    assert stats["tokens"] == sum(row["tokens"] for row in table)
    assert abs(sum(stats["histogram"]) - 1) < 1e-9
    row = table[3]
    assert len(row["logprobs"]) == len(row["starts"]) == row["tokens"]
    total = sum(p for p in row["logprobs"] if p == p)
    assert row["log_likelihood"] == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("command", ["edit", "score"])
def test_a_dry_run_estimates_and_writes_nothing(source, tiny_model, tmp_path, capsys, command):
    output = tmp_path / "out"
    assert cli(command, source, "--output", output, "--prior", tiny_model, "--dry-run") == 0
    said = capsys.readouterr().out
    assert "90 documents, about" in said
    assert "tokens/s" in said
    assert not output.exists()


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([1, 2, 3], [1, 2, 3]),
        ([1, None, 3], ["1", "ids.jsonl:1", "3"]),
        ([1, "b", 2**64], ["1", "b", str(2**64)]),
        ([True, 2.5, "c"], ["True", "2.5", "c"]),
    ],
)
def test_ids_come_back_as_they_were_or_as_texts(edit, tmp_path, ids, expected):
    path = tmp_path / "ids.jsonl"
    path.write_text(lines([{"id": i, "text": corpus_text(0), "odd": i, "meta": {}} for i in ids]))
    assert edit(path, "--output", tmp_path / "out", "--generations", "2") == 0
    table = table_of(tmp_path / "out")
    assert table["id"].to_pylist() == expected
    assert table["meta"].to_pylist() == ["{}"] * 3  # no empty struct in parquet, so as JSON
    changed = set(table_of(tmp_path / "out", "changes")["id"].to_pylist())
    assert changed <= {str(i) for i in expected}


def test_a_kill_leaves_nothing_that_a_later_generation_takes_for_text(edit, source, tmp_path):
    output = tmp_path / "out"
    assert edit(source, "--output", tmp_path / "whole", "--generations", "2") == 0
    assert edit(source, "--output", output, "--generations", "2", "--device", "nowhere") == 2
    shards = output / ".work" / "generation-0" / "shards"
    shards.mkdir(parents=True, exist_ok=True)
    (shards / ".00001.parquet.99.tmp").write_bytes(b"PAR1")
    assert edit(source, "--output", output, "--generations", "2") == 0
    assert table_of(output).equals(table_of(tmp_path / "whole"))


@pytest.mark.parametrize(
    ("options", "condition"),
    [
        ([], "p >= 0.99"),
        (["--ceiling", "0.1"], "p <= 0.1"),
        (["--ceiling", "0.5", "--threshold", "0.1"], "p >= 0.1 and p <= 0.5"),
        (["--threshold", "0.9", "--strict"], "p > 0.9"),
    ],
)
def test_conditions_from_the_command_line(source, tmp_path, options, condition):
    output = tmp_path / "out"
    assert cli("edit", source, "--output", output, "--prior", "table", *options) == 0
    stats = json.loads((output / "edit_stats.json").read_text())
    assert stats["rule"].startswith(condition)
    assert sum(stats["eligible_histogram"]) == stats["eligible"] > 0
    low, high = stats["settings"]["rule"]["threshold"], stats["settings"]["rule"]["ceiling"]
    inside = [(i + 1) / 10 >= (low or 0) and i / 10 <= (high or 1) for i in range(10)]
    assert not any(
        n for n, fits in zip(stats["eligible_histogram"], inside, strict=True) if not fits
    )


@pytest.mark.parametrize(
    ("options", "text", "line"),
    [
        (["--preset", "none"], "quiz", "this rule draws no replacement"),
        (["--threshold", "1"], "quiz", "no token reached the threshold 1, the highest probability"),
        ([], "q", "no token has a probability"),
        (["--temperature", "0.01"], "quiz", "all 1 draws gave the token itself (expected chang"),
        (["--prompt-column", "prompt", "--text-column", "text"], "a", "no token that may change"),
        (["--preset", "forced"], "quiz", None),
    ],
)  # fmt: skip
def test_a_run_that_changes_nothing_says_why(tmp_path, capsys, options, text, line):
    source = tmp_path / "a.jsonl"
    source.write_text(lines([{"id": "a", "prompt": "quiz", "text": text}]))
    assert cli("edit", source, "--output", tmp_path / "out", "--prior", "table", *options) == 0
    said = capsys.readouterr().out
    assert (f"nothing changed: {line}" in said) if line else ("nothing changed" not in said)


def test_help_explains_the_presets(capsys):
    assert cli("edit", "--help") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "(default: paper_text)" in said
    for name, rule in PRESETS.items():
        assert f"{name}: {rule.describe()}" in said
    readme = (Path(__file__).parents[3] / "README.md").read_text()
    assert "default `paper_text`" in readme


def test_measuring_what_an_edit_did(source, tiny_model, tmp_path):
    output = tmp_path / "out"
    options = ["--rescore", "--count-tokens", tiny_model, "--preset", "forced"]
    assert cli("edit", source, "--output", output, "--prior", "table", *options) == 0
    stats = json.loads((output / "edit_stats.json").read_text())
    prior, tokenizer = TablePrior(), load_tokenizer(str(tiny_model))
    texts = {"before": [row["text"] for row in ROWS], "after": table_of(output)["text"].to_pylist()}
    perplexities = {}
    for side, side_texts in texts.items():
        scores = list(prior.score(side_texts, CandidateRange()))
        perplexities[side] = np.array([s.perplexity for s in scores])
        total = np.concatenate([s.logprobs[s.scored] for s in scores]).astype(float)
        assert stats[f"perplexity_{side}"] == pytest.approx(np.exp(-total.mean()), rel=1e-6)
        ids = tokenizer(side_texts, add_special_tokens=False)["input_ids"]
        assert stats[f"counted_{side}"] == sum(map(len, ids))
    change = np.exp(np.log(perplexities["after"] / perplexities["before"]).mean())
    assert stats["perplexity_change"] == pytest.approx(change, rel=1e-6)
    assert stats["rescored"] == len(ROWS)


def test_models_that_cannot_be_loaded_end_a_run_before_it_scores(
    source, tiny_model, tmp_path, capsys
):
    broken = tmp_path / "broken"
    shutil.copytree(tiny_model, broken)
    (broken / "tokenizer.json").write_text("{}")
    output = tmp_path / "out"
    options = ["--prior", "table", "--count-tokens", broken]
    assert cli("edit", source, "--output", output, *options) == 2
    assert not list(output.glob(".work/generation-*"))
    (broken / "tokenizer.json").write_bytes((tiny_model / "tokenizer.json").read_bytes())
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": False}))
    assert cli("edit", source, "--output", output, "--prior", broken) == 2
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert told[0].startswith(f"error: cannot load the tokenizer in {str(broken)!r}: ")
    assert told[1].startswith(f"error: cannot load the model in {str(broken)!r}: its files lack ")
    assert len(told) == 2


@pytest.mark.slow
def test_a_document_of_ten_megabytes_beside_small_ones(tmp_path):
    large = " ".join(corpus_text(i) for i in range(25_000))[:10_000_000]
    assert len(large) == 10_000_000
    rows = [{"id": "small", "text": corpus_text(1)}, {"id": "large", "text": large}]
    (tmp_path / "a.jsonl").write_text(lines(rows))
    for preset in ("forced", "none"):
        output = tmp_path / preset
        arguments = ("--prior", "table", "--preset", preset)
        assert cli("edit", tmp_path / "a.jsonl", "--output", output, *arguments) == 0
        texts = table_of(output)["text"].to_pylist()
        assert [len(text) for text in texts] == [len(row["text"]) for row in rows]
        assert (texts[1] != large) == (preset == "forced")


def test_shards_are_taken_in_the_order_of_their_numbers(tmp_path):
    names = ["00009.parquet", "99999.parquet", "100000.parquet", "part-2.parquet"]
    for name in [*reversed(names), ".1.parquet.tmp"]:
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in parquet_files(tmp_path)] == names


def test_an_output_inside_its_input_is_refused(edit, tmp_path, capsys):
    (tmp_path / "a.jsonl").write_text(lines(ROWS[:3]))
    assert edit(tmp_path, "--output", tmp_path / "out") == 2
    assert "lies inside the input" in capsys.readouterr().err


def test_a_file_of_one_large_row_group_is_copied_into_smaller_ones(tmp_path, monkeypatch):
    from toedit.corpora import prepare

    path = tmp_path / "large.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS), path)
    reading = Reading(unpack=False)
    plain = prepare.prepare([str(path)], tmp_path / "plain", reading, 8)
    assert {unit.file for unit in plain} == {str(path)}
    monkeypatch.setattr(prepare, "ROWS_PER_GROUP", 16)
    copied = prepare.prepare([str(path)], tmp_path / "copied", reading, 8)
    file = pq.ParquetFile(copied[0].file)
    assert file.num_row_groups == 6
    assert file.schema_arrow.equals(pq.read_schema(path))
    from toedit.corpora.documents import read_documents

    pairs = [
        (d for unit in units for d in read_documents(unit, reading)) for units in (plain, copied)
    ]
    assert list(pairs[0]) == list(pairs[1])


@pytest.mark.parametrize("columns", [80, 120])
def test_help_is_in_groups_that_fit(capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    assert cli("edit", "--help") == 0
    text = capsys.readouterr().out
    assert columns - 30 < max(map(len, text.splitlines())) <= columns
    titles = re.findall(r"^(\w+):$", text, re.MULTILINE)
    assert titles == ["options", "input", "output", "prior", "rule", "engine", "examples"]
    options = re.split(r"\n  (?=--)", text.partition("examples:")[0])[1:]
    plain = [" ".join(option.partition("\n\n")[0].split()) for option in options]
    assert len(plain) > 40
    without = [o.split()[0] for o in plain if "(default: " not in o]
    assert without == ["--output", "--vllm", "--sampler-arg", "--sbatch"]  # needed, or repeated
    assert text.partition("examples:")[2].count("\n  toedit edit ") == 3


def test_the_examples_of_the_help_are_commands():
    from toedit.__main__ import parser
    from toedit.commands.edit import EXAMPLES

    for line in re.findall(r"^  toedit (.*)$", EXAMPLES, re.MULTILINE):
        assert parser().parse_args(line.split()).command == "edit"


def test_a_shell_completes_options(capsys):
    pytest.importorskip("shtab")
    assert cli("--print-completion", "bash") == 0
    script = capsys.readouterr().out
    assert "--target-changed" in script and "released_code" in script
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
