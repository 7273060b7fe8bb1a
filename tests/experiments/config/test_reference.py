"""The reference of fields says what the dataclasses say, on a page and in a terminal."""

import subprocess
import sys
from pathlib import Path

import pytest

from experiments import run
from experiments.config import Config
from experiments.config.completion import SCRIPT
from experiments.config.compose import compose
from experiments.config.reference import explain, fields
from experiments.reports.pages import fields_page
from toedit.errors import UserError

ROOT = Path(__file__).resolve().parents[3]


def test_the_page_is_that_of_the_dataclasses():
    page = (ROOT / "docs" / "fields.md").read_text()
    assert page == fields_page(), "make it again: python -m experiments.tables docs"


def test_every_field_has_a_type_a_meaning_and_the_default_of_the_code():
    names = [field.name for field in fields()]
    assert len(names) == len(set(names)) > 250
    assert [field.name for field in fields() if not field.type or not field.meaning] == []
    config = Config()
    for field in fields():
        owner = config
        if "[]" in field.name or "scratch." in field.name:  # of what the default has none
            continue
        for part in field.name.split("."):
            owner = getattr(owner, part)
        shown = "null" if owner is None else str(owner).lower()
        assert field.default.lower().strip('"') == shown.replace("'", ""), field.name


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("edit.threshold", "(0, 1]"), ("score.k", "1 to 1000000"), ("train.tokens", "at least 1"),
        ("mix.share", "0 to less than 1"), ("train.schedule", "constant, cosine, linear"),
        ("arms", "edited, source"), ("corpus.heldout_share", "between 0 and 1"),
        ("train.learning_rate", "finite and greater than 0"), ("eval.first_tokens", "at least 2"),
        ("launch.kind", "single, slurm, torchrun"), ("tracker.kind", "none, wandb"), ("note", ""),
    ],
)  # fmt: skip
def test_what_is_allowed_is_what_an_error_says(name, allowed):
    (field,) = [field for field in fields() if field.name == name]
    assert field.allowed == allowed
    if allowed and not name.endswith(("threshold", "rate")):
        wrong = {"whole number": "-1", "text": "nothing", "number": "7"}
        value = wrong[field.type.removesuffix(" or null").removeprefix("list of ").rstrip("s")]
        value = f"[{value}]" if field.type.startswith("list") else value
        with pytest.raises(UserError):
            compose([f"{name}={value}"])


def printed(capsys, monkeypatch, *words: str) -> str:
    monkeypatch.setattr(sys, "argv", ["run.py", *words])
    run.main()
    return capsys.readouterr().out


def test_help_with_a_field_or_group_prints_it(capsys, monkeypatch):
    one = printed(capsys, monkeypatch, "--help", "edit.threshold")
    assert one.startswith(
        "edit.threshold=0.99\n    number or null; allowed: (0, 1]\n    edit tokens"
    )
    assert printed(capsys, monkeypatch, "--help", "threshold") == one
    group = printed(capsys, monkeypatch, "+exp=cpt_bio", "--help", "train")
    assert group.startswith("train=CHOICE: ") and "\ntrain.block_size=1024\n" in group
    assert "released_code" in printed(capsys, monkeypatch, "-h", "edit").splitlines()[0]
    assert "paper/cpt_bio" in printed(capsys, monkeypatch, "--help", "exp")
    assert "experiments:" in printed(capsys, monkeypatch, "+exp=cpt_bio", "--help")


def test_help_with_an_unknown_field_is_one_line():
    with pytest.raises(UserError, match=r"'edit.treshold'; did you mean 'edit.threshold'"):
        explain("edit.treshold")


def test_bash_completes_experiments(tmp_path):
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$COMP_LINE|$COMP_POINT|$*" > "$0.asked"\n'
                      "echo +exp=cpt_bio +exp=cpt_math +exp=sft\n")  # fmt: skip
    python.chmod(0o755)
    line = f"{python} -m experiments.run +exp=cpt"
    script = f"""{SCRIPT}
COMP_LINE="{line}"; COMP_WORDS=("{python}" -m experiments.run +exp=cpt)
_experiments_run; echo "${{COMPREPLY[@]}}" """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["+exp=cpt_bio", "+exp=cpt_math"]
    asked = Path(f"{python}.asked").read_text().strip().split("|")
    assert asked == ["python run.py +exp=cpt", "22", "-m experiments.run -sc query=bash"]


def test_hydra_answers_the_completion(monkeypatch, capsys):
    line = "python run.py +exp=cpt_b"
    monkeypatch.setenv("COMP_LINE", line)
    monkeypatch.setenv("COMP_POINT", str(len(line)))
    said = printed(capsys, monkeypatch, "-sc", "query=bash")
    assert said.split() == ["+exp=cpt_bio", "+exp=cpt_bio_gpt2"]
    assert printed(capsys, monkeypatch, "-sc", "install=bash").strip() == SCRIPT
