"""Numbers that make no sense end in one line before anything is read, scored or written."""

import pytest
from commands import cli, lines

from experiments.config.compose import compose
from toedit.commands.common import as_options
from toedit.errors import UserError

NO_NUMBERS = ("nan", "-1", "0", "inf", "1e308", "1e23")
WHOLE = ("-1", "0", str(10**23), "9" * 5000)
OPTIONS = {
    "--threshold": NO_NUMBERS, "--ceiling": NO_NUMBERS, "--top-p": NO_NUMBERS,
    "--delete-below": NO_NUMBERS, "--temperature": (*NO_NUMBERS, "1e-320", "1e10"),
    "--beta": (*NO_NUMBERS, "5e-324"), "--shard-size": (*NO_NUMBERS, "1e-300"),
    "--k": WHOLE, "--max-rounds": WHOLE, "--max-length": (*WHOLE, "1"), "--batch-tokens": WHOLE,
    "--workers": WHOLE, "--threads": WHOLE, "--cpus": WHOLE, "--memory-gb": WHOLE,
    "--generations": WHOLE, "--generation": ("-1", str(10**23)), "--seed": ("-1", str(2**32)),
    "--gpus": ("-1", str(10**23)),
}  # fmt: skip


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_is_named_as_it_is_written(tmp_path, capsys, option):
    (tmp_path / "a.jsonl").write_text(lines([{"text": "x"}]))
    for value in OPTIONS[option]:
        for more in ([], ["--dry-run"]):
            place = tmp_path / "out"
            assert cli("edit", tmp_path / "a.jsonl", "--output", place, "--prior", "table",
                       f"{option}={value}", *more) == 2, value  # fmt: skip
            error = capsys.readouterr().err
            assert f"{option} " in error
            assert "allowed: " in error
            assert error.count("\n") == 1
            assert len(error) < 300
            assert not place.exists()


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("edit.temperature", ("nan", "inf", "-1", "0", "1e308", "1e-320")),
        ("edit.beta", ("nan", "0", "1e308")),
        ("edit.top_p", ("nan", "0", "1e308")),
        ("edit.k", ("0", str(10**23))),
        ("edit.max_rounds", ("0", str(10**23))),
        ("prior.max_length", ("-1", "1", str(10**23))),
        ("prior.batch_tokens", ("0", str(10**23))),
        ("engine.workers", ("-1", str(10**23))),
        ("engine.threads", ("0", str(10**23))),
        ("synthesis.temperature", ("nan", "1e-320")),
        ("synthesis.documents", ("0", str(10**23))),
        ("score.k", ("0", str(10**23))),
        ("train.tokens", ("-1", str(10**23))),
        ("theory.sigma", ("nan", "1e200")),
        ("theory.draws", ("1", str(10**9))),
        ("model.parameters", ("-1",)),
        ("seed", ("-1", str(2**32))),
    ],
)
def test_a_field_of_an_experiment_is_named_as_it_is_written(field, values):
    for value in values:
        with pytest.raises(UserError) as raised:
            compose(["+exp=cpt_bio", f"{field}={value}"])
        assert f"{field}={value[:2]}".rstrip("1.") in str(raised.value)


def test_the_ends_of_ranges_are_taken(tmp_path):
    (tmp_path / "a.jsonl").write_text(lines([{"text": "some text to edit"}]))
    for number, options in enumerate((
        ("--temperature", "1e-9", "--preset", "forced", "--threshold", "1e-9"),
        ("--temperature", "1e9", "--preset", "forced", "--threshold", "1e-9", "--k", "256"),
        ("--sampler", "rejection", "--beta", "1e-9", "--max-rounds", "10000"),
        ("--seed", str(2**32 - 1), "--shard-size", "1e-6", "--max-length", "2"),
    )):  # fmt: skip
        out = tmp_path / f"out{number}"
        assert cli("edit", tmp_path / "a.jsonl", "--output", out, "--prior", "table", *options) == 0


def test_only_fields_become_options():
    text = "edit.threshold=0.9 lies above edit.ceiling=0.5; or edit.sampler=none"
    assert as_options(text) == "--threshold 0.9 lies above --ceiling 0.5; or --sampler none"
    assert as_options("prior.kind=vllm, engine.kind='x'") == "--backend vllm, --engine 'x'"
    for other in ("'in/edit.k' is damaged", "my-edit.seed", "prior.overlap=1", "edit.jsonl"):
        assert as_options(other) == other
