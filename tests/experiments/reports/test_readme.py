"""What README.md shows of our runs is what the command writes from their records."""

import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from experiments.analysis.claims import read_claims
from experiments.analysis.evidence import Evidence
from experiments.config.compose import compose
from experiments.reports import claims, readme
from experiments.reports.tables.build import build_all
from toedit.errors import UserError

ROOT = Path(__file__).resolve().parents[3]
RESULTS = ROOT / "results"
DEMO = compose(readme.DEMO)


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    return Evidence([RESULTS])


def test_the_page_and_its_picture_are_those_of_the_last_record(evidence):
    run = readme.demo_run(evidence, DEMO)
    text = (ROOT / "README.md").read_text()
    written = readme.readme_page(text, run, claims.decide(build_all(evidence)))
    assert text == written, "write it again: python -m experiments.tables docs"
    picture = (ROOT / "docs" / "figures" / "overview.svg").read_text()
    assert picture == readme.picture(run.folder, DEMO), "python -m experiments.tables docs"
    assert len(text.splitlines()) < 120
    assert set(readme.FINDINGS) <= {claim.id for claim in read_claims()[0]}


def test_numbers_stand_in_written_blocks_alone():
    """Outside them: sizes that are needed, the method's threshold, and names."""
    text = (ROOT / "README.md").read_text()
    text = re.sub(r"<!-- (\w+):begin -->.*?<!-- \1:end -->", "", text, flags=re.DOTALL)
    text = re.sub(r"```.*?```|\]\([^)]*\)", "", text, flags=re.DOTALL)
    known = {"2025", "2412.14689", "0.99", "3.11", "6", "8", "95", "2", "135", "2.0"}
    assert set(re.findall(r"\d+(?:\.\d+)?", text)) <= known


def test_the_picture_shows_the_tokens_and_numbers_of_its_run(evidence, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(readme.demo_run(evidence, DEMO).folder, folder)
    values = json.loads((folder / "results.json").read_text())
    name = readme._edit(values, DEMO)
    edits = [
        {"id": f"d{i}", "before": "b" * 90, "old": old, "new": new, "after": " <after>",
         "probability": 0.99, "drawn_probability": p}
        for i, (old, new, p) in enumerate([(" a&b", " c", 0.25), ("x", "", None), ("y\n", "z", 0.5),
                                           ("four", "five", 0.5)])
    ]  # fmt: skip
    (folder / "examples.json").write_text(json.dumps({name: edits}))
    values["editing"][name]["changed"] = 123456
    values["rows"][0]["arms"]["base"]["value"] = 7.25
    (folder / "results.json").write_text(json.dumps(values))
    root = ElementTree.fromstring(readme.picture(folder, DEMO))
    texts = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    for text in (" a&b", " c", "∅", "y↵", " <after>…", "0.9900 → 0.25", "0.9900", "7.2500"):
        assert text in texts, text
    assert "…" + "b" * readme.AROUND in texts and "four" not in texts
    assert any(text.startswith("123,456 tokens changed") for text in texts)


def test_a_run_as_the_demo_is_preferred_to_one_with_more_arms_and_a_later_one_to_an_earlier(
    evidence, tmp_path
):
    """The run of README.md is the last of those that are as `make demo` runs it."""
    store, source = tmp_path / "store", readme.demo_run(evidence, DEMO).folder
    shutil.copytree(source, store / "reports" / "any")

    def add(name: str, finished: str, seeds: list[int], experiment: str = "cpt_bio") -> None:
        folder = store / "reports" / name
        shutil.copytree(source, folder, dirs_exist_ok=True)
        known = json.loads((folder / "run.json").read_text())
        stages = [{**known["stages"][0], "kind": "train", "seed": seed} for seed in seeds]
        known |= {"finished": finished, "stages": stages, "experiment": experiment}
        (folder / "run.json").write_text(json.dumps(known))
        values = json.loads((folder / "results.json").read_text())
        values |= {"controls": {"edits": {}} if len(seeds) > 1 else {}, "name": name}
        (folder / "results.json").write_text(json.dumps(values))

    add("any", "2030-01-01T00:00:00Z", [0, 1])
    assert readme.demo_run(Evidence([store]), DEMO).folder.name == "any"
    add("first", "2026-01-01T00:00:00Z", [0])
    add("last", "2026-01-02T00:00:00Z", [0])
    add("other", "2031-01-02T00:00:00Z", [0], "cpt_math")
    assert readme.demo_run(Evidence([store]), DEMO).folder.name == "last"
    shutil.rmtree(store / "reports")
    with pytest.raises(UserError, match="run it, then python"):
        readme.demo_run(Evidence([store]), DEMO)


def test_a_page_without_a_block_is_refused(evidence):
    with pytest.raises(UserError, match="no block <!-- demo:begin -->"):
        readme.readme_page("# ToEdit", readme.demo_run(evidence, DEMO), [])
