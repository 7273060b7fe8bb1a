"""Documents that quote benchmark items, in texts too large to hold: found, counted, left out."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import corpus_text
from simple_stages import simple_stage

from evals.items import item_texts
from experiments.config import EngineConfig, EvalConfig
from experiments.config.compose import compose
from experiments.plans import plan
from experiments.stage import Stage, StageContext
from experiments.stages import overlap, tokenizer, tokens
from toedit.corpora.documents import write_documents
from toedit.corpora.split import shared
from toedit.document import Document

ENGINE = EngineConfig(rows_per_unit=4)
EVALUATION = EvalConfig(suite="commonsense_embedded")


def context(stage: Stage, folder, inputs) -> StageContext:
    folder.mkdir()
    return StageContext(stage, folder, inputs, {}, lambda values, step: None)


@pytest.fixture()
def text(tmp_path):
    """A source of ten documents, of which two quote items, and its stage."""
    long = [(i, t) for i, t in item_texts("piqa_validation") if len(t.split()) > 14]
    passage, other = long[0][1], long[1][1]
    documents = [Document(f"d{i}", corpus_text(i), {"kind": "human", "domain": "x"})
                 for i in range(8)]  # fmt: skip
    for number, part in enumerate((passage, other)):
        quote = f"before it {part} and after"
        documents.append(Document(f"q{number}", quote, {"kind": "human", "domain": "x"}))
    folder = tmp_path / "text"
    for shard in range(2):
        write_documents(folder / "train" / f"{shard}.parquet", documents[shard::2])
    stage = simple_stage("corpus", "x")
    return folder, stage


def test_quoting_documents_are_counted_and_left_out_of_the_tokens(tmp_path, text, tiny_model):
    folder, source = text
    stage = overlap.stage(source, EVALUATION, ENGINE)
    found = stage.config.run(context(stage, tmp_path / "overlap", {"text": folder}))
    assert found["documents"] == 10
    assert found["overlap"]["piqa_validation"]["documents"] == 2
    assert found["overlap"]["piqa_validation"]["items"] >= 2
    other = found["overlap"]["openbookqa_validation"]
    assert (other["documents"], other["items"]) == (0, 0)
    assert 0 < other["short"] < 500
    rows = [row for path in (tmp_path / "overlap" / "shards").glob("*.parquet")
            for row in pq.read_table(path).to_pylist()]  # fmt: skip
    assert sorted(row["id"] for row in rows) == ["q0", "q1"]
    words = tokenizer.pretrained(str(tiny_model), None, None)
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / tokenizer.FOLDER).symlink_to(tiny_model)
    kept = {}
    for name, left_out in (("all", None), ("clean", stage)):
        cut = tokens.stage(source, words, ENGINE, left_out)
        inputs = {"text": folder, "tokenizer": tmp_path / "words"}
        inputs |= {"overlap": tmp_path / "overlap"} if left_out else {}
        kept[name] = cut.config.run(context(cut, tmp_path / name, inputs))["documents"]
    assert kept == {"all": 10, "clean": 8}


def test_every_text_from_files_is_searched_where_something_is_evaluated(tmp_path):
    (tmp_path / "a.txt").write_text("a\n")
    own = ["+exp=pretrain_ratio", f"mixture.sources=[{{name: a, files: ['{tmp_path}/a.txt']}}]",
           "mixture.domains=[a]", f"mixture.heldout=[{{name: h, files: ['{tmp_path}/a.txt']}}]",
           "mixture.ratios=[0]", "mixture.tokenizer=x"]  # fmt: skip

    def kinds(*more: str) -> dict[str, Stage]:
        return {stage.kind: stage for stage in plan(compose([*own, *more]))}

    assert "overlap" in kinds()["tokens"].inputs
    counted = kinds("mixture.remove_overlap=false")
    assert "overlap" in counted
    assert "overlap" not in counted["tokens"].inputs
    assert "overlap" not in kinds("eval.suite=null")


def test_runs_are_found_as_sets_find_them():
    rng = np.random.default_rng(0)
    for size in (0, 1, 50):
        index = np.unique(rng.integers(0, 100, size).astype(np.uint64))
        runs = np.unique(rng.integers(0, 120, 30).astype(np.uint64))
        assert shared(runs, index).tolist() == sorted({*runs.tolist()} & {*index.tolist()})
