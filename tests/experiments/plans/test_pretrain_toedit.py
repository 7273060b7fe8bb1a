"""Pre-training on source against edited text: equal arms, one scoring pass, a comparison."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from commands import lines, run
from conftest import corpus_text
from written import executed

from experiments.config.compose import compose
from experiments.plans import plan
from experiments.reports import arms, arms_page
from experiments.runner import execute
from experiments.stages.evaluate import HELD_OUT_TASK, PREDICTIONS, summarize, tasks
from experiments.store import Store
from toedit.errors import UserError

EPOCH = 4096
"""Tokens of a run."""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Human text, some of it held out; files of synthetic text are named but not there."""
    folder = tmp_path_factory.mktemp("toedit")
    for name, first, number in (("human", 0, 60), ("held", 1000, 6)):
        rows = [{"id": f"{name}-{i}", "text": corpus_text(first + i)} for i in range(number)]
        (folder / f"{name}.jsonl").write_text(lines(rows))
    return folder


def arguments(place: Path, model: Path, *more: str) -> list[str]:
    """The paper's experiment on an exact prior and a tiny model."""
    return [
        "+exp=paper/pretrain_toedit", f"store={place}/store", "tracker=none", "engine.workers=1",
        f'mixture.sources=[{{name: dolma, files: ["{place}/human.jsonl"]}}, '
        f'{{name: cosmopedia, kind: synthetic, files: ["{place}/none/*.parquet"]}}]',
        f'mixture.heldout=[{{name: held, files: ["{place}/held.jsonl"]}}]',
        f"mixture.tokenizer={model}", "prior=table", "edit=forced", "score.above=0.5",
        f"train.tokens={EPOCH}", "train.block_size=64", "train.batch_tokens=1024",
        "train.micro_batch=16", "launch=single", "train.fsdp=false", "train.precision=float32",
        "train.warmup_steps=1", "train.compile=false", "train.keep_tokens=[2048]",
        "eval.suite=null", "eval.window=64", "eval.first_tokens=null", "model.scratch.layers=1",
        "model.scratch.width=32", "model.scratch.heads=2", "model.scratch.intermediate=64",
        "model.scratch.context=64", "model.scratch.vocabulary=400", "seeds=[0]", *more,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def store(place, tiny_model) -> Path:
    """A run of the first seed, and of the second what it would learn."""
    run(arguments(place, tiny_model), place / "log")
    config = compose(arguments(place, tiny_model, "seeds=[0,1]"))
    text = [stage for stage in plan(config) if stage.kind not in ("train", "evaluate")]
    execute(config, text, Store(place / "store"))
    return place / "store"


def folder_of(store: Path, kind: str, name: str) -> Path:
    (found,) = store.glob(f"{kind}/{name}-*")
    return found


def metrics(store: Path, kind: str, name: str) -> dict:
    return json.loads((folder_of(store, kind, name) / "record.json").read_text())["metrics"]


def texts(folder: Path) -> dict[str, str]:
    return {row["id"]: row["text"] for path in sorted(folder.glob("*.parquet"))
            for row in pq.read_table(path).to_pylist()}  # fmt: skip


@pytest.fixture()
def mixed(store, place, tiny_model, tmp_path):
    """Makes the mixture of the edited arm by another rule, in a copy of the store."""

    def make(*rule: str) -> Path:
        config = compose(arguments(place, tiny_model, *rule))
        (stage,) = [s for s in plan(config) if (s.kind, s.name) == ("mixture", "edited-seed0")]
        shutil.copytree(store, tmp_path / "store", dirs_exist_ok=True)
        found = Store(tmp_path / "store")
        execute(config, stage.upstream(), found)
        return found.folder(stage)

    return make


def manifest(folder: Path) -> list[dict]:
    return pq.read_table(folder / "manifest.parquet").to_pylist()


@pytest.mark.slow
def test_arms_see_the_same_documents_in_one_order_and_as_many_tokens(store):
    learned = texts(folder_of(store, "select", "learned") / "train")
    for seed in (0, 1):
        orders = []
        for arm in ("source", "edited"):
            name = f"{arm}-seed{seed}"
            assert metrics(store, "mixture", name)["tokens"] == EPOCH
            if not seed:
                trained = metrics(store, "train", name)
                assert (trained["tokens"], trained["steps"]) == (EPOCH, 4)
            rows = manifest(folder_of(store, "mixture", name))
            assert sum(row["tokens"] for row in rows) == EPOCH
            assert {row["epoch"] for row in rows} == {0}
            assert {row["id"] for row in rows} <= set(learned)
            orders.append([row["id"] for row in rows])
        common = set(orders[0]) & set(orders[1])
        assert len(common) >= len(learned) - 3  # edits made the text longer
        kept = [[name for name in order if name in common] for order in orders]
        assert kept[0] == kept[1]
    first = manifest(folder_of(store, "mixture", "source-seed0"))
    assert {row["id"] for row in first} == set(learned)
    streams = [np.load(folder_of(store, "mixture", f"source-seed{s}") / "mixture.npy")
               for s in (0, 1)]  # fmt: skip
    assert (streams[0] != streams[1]).any()


@pytest.mark.slow
def test_one_scoring_pass_and_edits_of_their_own_for_every_seed(store):
    folder_of(store, "score", "learned")  # just one
    learned = texts(folder_of(store, "select", "learned") / "train")
    edited = [texts(folder_of(store, "edit", f"edited-seed{seed}") / "shards") for seed in (0, 1)]
    for found in edited:
        assert set(found) == set(learned)
        assert all(found[name] != learned[name] for name in learned)
    assert edited[0] != edited[1]
    streams = [(folder_of(store, "mixture", f"{arm}-seed0") / "mixture.npy").read_bytes()
               for arm in ("source", "edited")]  # fmt: skip
    assert streams[0] != streams[1]


@pytest.mark.slow
def test_an_edit_that_changes_nothing_gives_the_same_bytes(store, mixed, tmp_path):
    own, source = mixed("edit=none"), folder_of(store, "mixture", "source-seed0")
    made = {kind: len(list((tmp_path / "store").glob(f"{kind}/*"))) for kind in ("edit", "score")}
    assert made == {"edit": 3, "score": 1}
    for name in ("mixture.npy", "manifest.parquet"):
        assert (own / name).read_bytes() == (source / name).read_bytes()


@pytest.mark.slow
def test_a_text_that_editing_shortens_is_begun_again(mixed):
    rows = manifest(mixed("edit.delete_below=1e-4", "score.below=1e-4"))
    assert sum(row["tokens"] for row in rows) == EPOCH
    assert {row["epoch"] for row in rows} == {0, 1}
    again = [row["id"] for row in rows if row["epoch"]]
    assert len(again) < 3 < len(rows)
    with pytest.raises(UserError, match=r"source .dolma. holds .* allow more epochs"):
        mixed("edit.delete_below=0.5", "score.below=0.5")


@pytest.mark.slow
def test_the_report_of_a_run(store):
    (path,) = store.glob("reports/*/results.json")
    found = json.loads(path.read_text())
    trained = found["training"]["source-seed0"]
    assert (found["reference"], trained["tokens"], trained["steps"]) == ("source", EPOCH, 4)
    assert [part["tokens"] for part in found["checkpoints"]] == [2048]
    for point in (found, *found["checkpoints"]):
        (row,) = (own for own in point["rows"] if own["metric"].startswith("bits per byte, mean"))
        assert set(row["differences"]) == {"edited"}
        expected = row["arms"]["edited"]["value"] - row["arms"]["source"]["value"]
        assert row["differences"]["edited"]["value"] == pytest.approx(expected)
    assert found["rows"] != found["checkpoints"][0]["rows"]
    assert {name for name, own in found["editing"].items() if own["seed"] == 0} == {"edited-seed0"}
    page = path.with_name("results.md").read_text()
    assert "## After 2.05e+03 tokens" in page
    assert "Each arm was trained for 4 steps on 4096 tokens." in page


RIGHT = {("source", None): 4, ("edited", None): 6, ("source", 4096): 5, ("edited", 4096): 2}
"""Items of ten that an arm gets right on PIQA, at the end and after 4,096 tokens."""


def test_benchmarks_are_compared_item_by_item(tmp_path):
    config = compose(["+exp=pretrain_toedit", "seeds=[0,1]", "train.keep_tokens=[4096]",
                      "controls=[]", "eval.benchmarks_at_checkpoints=true",
                      f"store={tmp_path}", "tracker=none"])  # fmt: skip

    def measure(stage):
        metrics = {"steps": 1, "tokens": 2048, "loss_tail_mean": 1.0, "changed_per_10k": 20,
                   "eligible_share": 0.1, "chosen_documents": 1, "changed": 1,
                   "failed": 0}  # fmt: skip
        rows_of = {}
        if stage.kind == "evaluate":
            for task in tasks(config.eval):
                right = RIGHT[stage.arm, stage.checkpoint] if task.label == "PIQA" else 5
                right += stage.seed
                rows = [{"item": str(i), "value": float(i < right), "gold": None}
                        for i in range(10)]  # fmt: skip
                rows_of[f"{PREDICTIONS}/{task.name}.parquet"] = rows
                metrics[task.name] = summarize(task, rows) | {"random": 1 / task.options}
            rows_of[f"{PREDICTIONS}/{HELD_OUT_TASK}.parquet"] = [
                {"item": name, "nll": 9.0, "bytes": 9, "tokens": 3, "domain": "news",
                 "kind": "human", "seen": False} for name in "ab"
            ]  # fmt: skip
            metrics[HELD_OUT_TASK] = {"documents": 2}
        return metrics, rows_of

    found = arms.results(*executed(config, measure))
    for point, change in ((found, 20), (found["checkpoints"][0], -30)):
        rows = {row["metric"].partition(",")[0]: row for row in point["rows"]
                if row["group"] == "benchmarks"}  # fmt: skip
        assert len(rows) == 6
        piqa = rows["PIQA"]["differences"]["edited"]
        average = rows["average of the accuracies"]
        assert piqa["by_seed"] == pytest.approx([change] * 2)
        assert piqa["low"] <= change <= piqa["high"]
        assert average["differences"]["edited"]["value"] == pytest.approx(change / 5)
        assert rows["BoolQ"]["differences"]["edited"]["value"] == 0
        assert average["items"] == 50
        assert average["random"] == pytest.approx(100 * (0.5 * 3 + 0.25 * 2) / 5)
    piqa = next(row for row in found["rows"] if row["metric"].startswith("PIQA"))
    seeds = {name: own["by_seed"] for name, own in piqa["arms"].items()}
    assert seeds == {"source": pytest.approx([40, 50]), "edited": pytest.approx([60, 70])}
    page = arms_page.markdown(found)
    assert "+20.00 [" in page
    assert "## After 4.1e+03 tokens" in page


def test_more_seeds_only_add_and_no_arm_reads_synthetic_sources():
    one, three = (plan(compose(["+exp=pretrain_toedit", f"seeds={seeds}"]))
                  for seeds in ("[0]", "[0,1,2]"))  # fmt: skip
    assert {stage.label for stage in one} < {stage.label for stage in three}
    added = {(s.kind, s.name) for s in three if s.label not in {t.label for t in one}}
    assert {kind for kind, _ in added} == {"edit", "tokens", "mixture", "train", "evaluate"}
    # What the first seed drew is cut once for all.
    assert ("tokens", "learned") in {(s.kind, s.name) for s in one}
    for seed in (0, 1, 2):
        pair = {s.name.partition("-")[0]: s for s in three if s.kind == "train"
                and s.name.endswith(f"seed{seed}")}  # fmt: skip
        assert pair["source"].config == pair["edited"].config
        assert pair["source"].inputs["tokenizer"] is pair["edited"].inputs["tokenizer"]
    paper = plan(compose(["+exp=paper/pretrain_toedit"]))
    assert "cosmopedia" not in {stage.name for stage in paper}
    assert "dolma" in {stage.name for stage in paper}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("model=smollm2", r"plan=pretrain_toedit trains from random weights"),
        ("controls=[no_edit]", r"controls='no_edit' is unknown"),
        ("model.lora_rank=4", r"model\.lora_rank must be 0"),
        ("eval.window=512", r"eval\.window=512, train\.block_size=256"),
        ("mixture.tokens=100", r"mixture\.tokens=100 must be a multiple"),
        ("mixture.sources=[{name: made, kind: synthetic, files: [x]}]",
         "mixture.sources holds only made of kind synthetic; add one of kind human"),
        ("mixture.sources=[{name: web, files: [x]}]", "mixture.sources needs mixture.heldout"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused(change, message):
    with pytest.raises(UserError, match=message) as refused:
        plan(compose(["+exp=pretrain_toedit", change]))
    assert "\n" not in str(refused.value)


def test_redrawn_learns_the_same_documents_with_edits_of_every_epoch():
    stages = plan(compose(["+exp=pretrain_toedit"]))
    trained = {s.arm: s for s in stages if s.kind == "train"}
    own = trained["redrawn"]
    epochs = [own.inputs[name] for name in ("text", "text2", "text3", "text4")]
    assert own.config == trained["edited"].config
    assert epochs[0].fingerprint == trained["edited"].inputs["text"].fingerprint
    assert len({mixed.fingerprint for mixed in epochs}) == 4
    assert all(mixed.config == epochs[0].config for mixed in epochs)
    edits = [mixed.inputs["tokens"].inputs["text"] for mixed in epochs]
    assert [edit.config.generation for edit in edits] == [0, 1, 2, 3]
    assert len({edit.inputs["scores"].fingerprint for edit in edits}) == 1
    assert len({(edit.config.seed, str(edit.config.rule)) for edit in edits}) == 1
