"""Names of the hub: what an experiment loads, what is known of it, and the page that lists it."""

import ast
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from evals.suites import SUITES
from experiments.config.compose import compose
from experiments.hub.names import KINDS, known, listed, names_of, of_address
from experiments.hub.page import names_page, uses
from toedit.corpora.prepare import HUB_ID

ROOT = Path(__file__).resolve().parents[3]
MAKE = "make it again: python -m experiments.tables docs"
OURS = ("paper/", "table5/", "evaluate/", "cuda/")
"""Beginnings of values with a slash that name something of this repository."""


def loaded(*overrides: str) -> dict[str, tuple[str, str | None, str]]:
    """Kind, revision and field of each name of an experiment."""
    found = names_of(compose(list(overrides)))
    return {name.name: (name.kind, name.revision, name.field) for name in found}


def test_an_experiment_names_what_its_plan_reads_and_nothing_else():
    found = loaded("+exp=paper/cpt_bio")
    assert found["meta-llama/Meta-Llama-3-8B"] == ("model", None, "prior.model")
    assert found["allenai/OLMo-1B-hf"] == ("model", None, "model.model")
    assert found["Open-Orca/OpenOrca"] == ("dataset", None, "corpus.hub")  # the second text
    kind, revision, _ = found["AdaptLLM/medicine-tasks"]
    assert (kind, len(revision or "")) == ("dataset", 40)
    assert "Open-Orca/OpenOrca" not in loaded("+exp=paper/cpt_bio", "mix=none")
    assert loaded("+exp=cpt_bio") == {}


def test_names_follow_the_settings(tmp_path):
    mine = ["+exp=paper/cpt_bio", "mix=none", "corpus=local", f"corpus.paths=[{tmp_path}/a.jsonl]",
            f"model.model={tmp_path}"]  # fmt: skip
    for name in ("MQP", "ChemProt", "PubMedQA", "RCT", "USMLE"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "test.jsonl").write_text("{}")
    assert loaded(*mine, "prior=table", f"eval.data={tmp_path}") == {}
    found = loaded(*mine, "prior.revision=abc", "prior.ensemble=[lab/other]",
                   "eval.suite=code_hub")  # fmt: skip
    assert found["meta-llama/Meta-Llama-3-8B"] == ("model", "abc", "prior.model")
    assert found["lab/other"] == ("model", None, "prior.ensemble")
    assert loaded("+exp=cpt_bio", "model.model=gpt2")["gpt2"] == ("model", None, "model.model")
    assert found["Idavidrein/gpqa"] == ("dataset", None, "eval.suite=code_hub")


def test_files_of_a_mixture_are_named_by_their_data_set_or_address(tmp_path):
    (tmp_path / "b.jsonl").write_text('{"text": "a"}')
    files = ["hf://datasets/lab/web@0123/data/*.parquet", "https://lab.org/a.jsonl",
             f"{tmp_path}/b.jsonl"]  # fmt: skip
    found = loaded("+exp=paper/pretrain_gpt2", "mixture.domains=[web]", "mixture.ratios=[0]",
                   f"mixture.sources=[{{name: web, files: {files}}}]")  # fmt: skip
    assert found["lab/web"] == ("dataset", "0123", "files of web")
    assert found["https://lab.org/a.jsonl"] == ("url", None, "files of web")
    assert "allenai/dolma" not in found
    assert not any("jsonl" in name and kind != "url" for name, (kind, *_) in found.items())
    dolma = {name.name: name for name in names_of(compose(["+exp=paper/statistics"]))}
    assert any(name.startswith("https://olmo-data.org/") for name in dolma)  # where its list leads
    assert dolma["allenai/dolma"].licence == "ODC-BY 1.0"


def test_a_file_in_an_archive_is_of_the_data_set_that_holds_it():
    (name,) = of_address("zip://a/b.jsonl::hf://datasets/lab/zips@77/c.zip", "here")
    assert (name.kind, name.name, name.revision, name.how) == ("dataset", "lab/zips", "77", None)
    assert list(of_address("folder/b.jsonl", "here")) == []


def values(node: Any, key: str = "") -> Iterator[str]:
    """Texts in a YAML file that may be names; lists of groups are none."""
    if isinstance(node, dict):
        for name, item in node.items():
            yield from values(item, name) if name not in ("defaults", "note") else ()
    elif isinstance(node, list):
        for item in node:
            yield from values(item, key)
    elif isinstance(node, str):
        yield node


def mentioned(path: Path) -> set[tuple[str, str]]:
    """Kind (dataset or model, which a text does not tell, or url) and name of what a file names."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        nodes = ast.walk(ast.parse(text))
        texts = [n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]
        texts = [t for t in texts if path.name == "suites.py" or "://" in t]
    else:
        texts = list(values(yaml.load(text, yaml.BaseLoader)))
    found = {("hub", t.partition("@")[0]) for t in texts
             if HUB_ID.fullmatch(t.partition("@")[0]) and not t.startswith(OURS)}  # fmt: skip
    addresses = [t for t in texts if "://" in t and not t.startswith("http://127.")]
    addresses += re.findall(r"hf://datasets/[^\s\"']+", text)
    for address in addresses:
        for name in of_address(address, ""):
            found.add(("url" if name.kind == "url" else "hub", name.name))
    return found


def files() -> list[Path]:
    paths = [p for folder in ("conf", "evals") for p in sorted((ROOT / folder).rglob("*"))]
    return [p for p in paths if p.suffix in (".py", ".yaml") and p.name not in ("names.yaml",)]


def test_every_name_in_conf_and_evals_is_listed_and_none_is_stale():
    found = {name: path for path in files() for name in mentioned(path)}
    facts = {("url" if kind == "url" else "hub", name) for kind, name in known()}
    assert {name: str(path) for name, path in found.items() if name not in facts} == {}
    leads = {row["leads_to"] for row in known().values() if "leads_to" in row}
    assert {name for _, name in facts - set(found)} - leads == set()


@pytest.mark.parametrize(
    "text",
    ["hub: lab/new_text", "files: [\"@hf://datasets/lab/new_text@1/a.txt\"]",
     "# or hf://datasets/lab/new_text/a.parquet\nsource: hub", "model: lab/new_text",
     "a: {b: [{files: 'zip://c.jsonl::hf://datasets/lab/new_text/d.zip'}]}"],
)  # fmt: skip
def test_a_new_name_would_be_found(tmp_path, text):
    (tmp_path / "new.yaml").write_text(text)
    assert mentioned(tmp_path / "new.yaml") == {("hub", "lab/new_text")}


def test_what_is_known_of_a_name_is_complete():
    assert date.fromisoformat(listed()["checked"])
    for (kind, name), facts in known().items():
        assert kind in KINDS
        assert {"licence", "gated", "how"} <= set(facts) <= {"licence", "gated", "how", "leads_to"}
        assert facts["gated"] in (True, False, None) and facts["how"], name
    assert len(known()) == len(listed()["names"])
    assert all(name.how for name in uses())


def test_the_page_lists_every_name_and_column_and_is_up_to_date():
    page = names_page()
    assert (ROOT / "docs" / "names.md").read_text() == page, MAKE
    assert all(name in page for _, name in known())
    hub = {task for tasks in SUITES.values() for task in tasks if not task.embedded}
    assert {task.name for task in hub if f"| {task.name} |" not in re.sub(" +", " ", page)} == set()


def test_a_revision_behind_a_name_is_its_revision():
    found = names_of(compose(["+exp=cpt_bio", "prior.kind=hf", "prior.model=org/model@abc123"]))
    assert [(name.name, name.revision) for name in found] == [("org/model", "abc123")]
