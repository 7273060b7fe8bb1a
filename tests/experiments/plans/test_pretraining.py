"""Pre-training on mixtures: shapes from scratch, text that does not leak, and a run end to end."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from commands import Command, files, records, run

from evals.domains import DOMAINS, passages
from experiments.config.compose import compose
from experiments.config.pretraining import METHODS, MODES, ArchitectureConfig, MixtureConfig
from experiments.plans import plan
from experiments.stages.domains import SHIPPED_FILE
from experiments.training.model import family_config
from toedit.corpora import split
from toedit.errors import UserError


def test_a_tokenizer_larger_than_the_shape_is_refused():
    with pytest.raises(UserError, match="the tokenizer has 5000 tokens"):
        family_config(ArchitectureConfig(vocabulary=4096), 5000)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"ratios": [0.5, 1.2]}, "ratios holds 1.2"),
        ({"ratios": []}, "one to eight ratios"),
        ({"ratios": [0.5, 0.5]}, "each once"),
        ({"domains": ["news"], "heldout_domains": ["news"]}, "both name 'news'"),
        ({"heldout_share": 0.9}, "heldout_share=0.9"),
    ],
)
def test_mixtures_that_make_no_sense_are_refused(fields, message):
    with pytest.raises(UserError, match=message):
        MixtureConfig(**fields)


def test_the_plan_shares_stages_and_more_seeds_only_add():
    one = plan(compose(["+exp=pretrain_ratio"]))
    three = plan(compose(["+exp=pretrain_ratio", "seeds=[0,1,2]"]))
    assert len(one) == 3 + 5 * 5  # text, tokenizer and tokens are shared
    assert {stage.label for stage in one} < {stage.label for stage in three}
    added = [stage for stage in three if stage.label not in {s.label for s in one}]
    assert {stage.kind for stage in added} == {"mixture", "train", "evaluate"}
    for wrong in (["train.block_size=128"], ["seeds=[1,1]"], ["eval.suite=biomedicine_embedded"],
                  ["model.scratch.context=128"], ["model.lora_rank=4"]):  # fmt: skip
        with pytest.raises(UserError):
            plan(compose(["+exp=pretrain_ratio", *wrong]))
    with pytest.raises(UserError, match=r"model\.scratch"):
        plan(compose(["+exp=pretrain_ratio", "model=smollm2"]))


def test_every_domain_has_passages_with_ids_of_their_own():
    ids = [p.id for domain in DOMAINS for p in passages(domain)]
    assert len(ids) == len(set(ids)) > 8000
    with pytest.raises(UserError, match="domain"):
        passages("poetry")


def test_shipped_synthetic_text_names_seeds_that_exist():
    rows = pq.read_table(SHIPPED_FILE).to_pylist()
    known = {item for domain in DOMAINS for p in passages(domain) for item in p.items}
    assert all((row["seed_source"], row["seed_id"]) in known for row in rows)
    assert SHIPPED_FILE.stat().st_size < 3e6
    assert SHIPPED_FILE.with_name("README.md").exists()


SMALL = [
    "+exp=pretrain_ratio", "mixture.domains=[exams,news]", "mixture.heldout_domains=[children]",
    "mixture.ratios=[0,0.5,1]", "mixture.vocabulary=400", "mixture.tokenizer_characters=50000",
    "mixture.heldout_characters=5000", "train.tokens=4096", "train.block_size=64",
    "train.batch_tokens=512", "train.micro_batch=4", "train.checkpoint_steps=3",
    "train.keep_tokens=[]",
    "model.scratch={layers: 1, width: 32, heads: 2, context: 64}", "eval.window=64",
    "eval.suite=null", "tracker=none",
]  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pretrain")
    run([*SMALL, f"store={folder / 'store'}"], folder / "log")
    return folder / "store"


def folder_of(store: Path, kind: str, name: str) -> Path:
    (found,) = store.glob(f"{kind}/{name}-*")
    return found


def texts(store: Path, side: str) -> list[dict]:
    rows = []
    for path in sorted((folder_of(store, "corpus", "domains") / side).glob("*.parquet")):
        for row in pq.read_table(path).to_pylist():
            rows.append({**row, **json.loads(row["metadata"])})
    return rows


def test_nothing_held_out_is_trained_on(store):
    train, held = texts(store, "train"), texts(store, "heldout")
    assert {row["id"] for row in train}.isdisjoint(row["id"] for row in held)
    index = split.ngram_index(row["text"] for row in train)
    assert not any(split.overlapping((row["text"] for row in held), index))
    assert {r["domain"] for r in train} >= {"exams", "news", "a short story"}
    assert {"children", "a how-to tutorial"}.isdisjoint(r["domain"] for r in train)
    unseen = {row["domain"] for row in held if not row["seen"]}
    assert unseen == {"children", "a how-to tutorial"}
    # No synthetic text was written after an extract of what is held out, and no seed is held out.
    seeds = {row["id"]: (row["seed_source"], row["seed_id"])
             for row in pq.read_table(SHIPPED_FILE).to_pylist()}  # fmt: skip
    by_id = {p.id: set(p.items) for domain in DOMAINS for p in passages(domain)}
    used = {seeds[row["id"]] for row in train if row["kind"] == "synthetic"}
    assert used
    assert all(not (by_id[row["id"]] & used) for row in held if row["kind"] == "human")


def test_mixtures_are_exact_and_said_so(store):
    for ratio in (0, 50, 100):
        folder = folder_of(store, "mixture", f"synthetic{ratio}")
        rows = pq.read_table(folder / "manifest.parquet").to_pylist()
        blocks = np.load(folder / "mixture.npy")
        assert blocks.shape == (64, 64)
        assert sum(row["tokens"] for row in rows) == blocks.size
        made = sum(row["tokens"] for row in rows if row["source"] == "synthetic")
        assert made == round(ratio / 100 * blocks.size)


def test_the_report_says_what_was_measured(store):
    (path,) = store.glob("reports/*/results.json")
    found = json.loads(path.read_text())
    assert found["ratios"] == {"synthetic0": 0, "synthetic50": 0.5, "synthetic100": 1}
    assert len({row["group"] for row in found["rows"]}) == 4
    own = [row for row in found["rows"] if row["group"] == "human, domains of the mixtures"]
    domains = [row for row in own if row["metric"].endswith("), perplexity")]
    assert {row["metric"].partition(" ")[0] for row in domains} == {"exams", "news"}
    (mean,) = (row for row in own if row["figure"])
    for arm in found["ratios"]:
        logs = [math.log(row["arms"][arm]["value"]) for row in domains]
        assert mean["arms"][arm]["value"] == pytest.approx(math.exp(sum(logs) / len(logs)))
    for arm in ("synthetic50", "synthetic100"):
        logs = [math.log(mean["arms"][name]["value"]) for name in (arm, "synthetic0")]
        assert mean["differences"][arm]["value"] == pytest.approx(logs[0] - logs[1])
    assert mean["contrasts"]["slope"]["p"] is None  # one seed
    for suffix, start in ((".png", b"\x89PNG"), (".pdf", b"%PDF")):
        assert path.with_name(f"perplexity{suffix}").read_bytes().startswith(start)
    with path.with_name("perplexity.csv").open() as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 4 * 3
    figures = {row["group"]: row["arms"] for row in found["rows"] if row["figure"]}
    names = {100 * ratio: name for name, ratio in found["ratios"].items()}
    for row in rows:
        shown = figures[row["group"]][names[float(row["synthetic_percent"])]]["by_seed"][0]
        assert float(row["perplexity"]) == shown
    page = path.with_name("results.md").read_text()
    assert "say nothing of other seeds" in page
    assert "children (n" in page


@pytest.mark.slow
def test_the_same_seed_gives_the_same_run_and_a_kill_changes_nothing(store, tmp_path):
    again = tmp_path / "store"
    arguments = [*SMALL, f"store={again}"]
    command = Command(arguments, tmp_path / "log")
    marker = "checkpoint-3/whole"
    while command.running and not list(again.glob(f"train/*/checkpoints/{marker}")):
        pass
    command.kill()
    run(arguments, tmp_path / "log")
    assert records(again) == records(store)
    assert files(again) == files(store)
    run([*arguments, "mixture.ratios=[0]", "seeds=[1]"], tmp_path / "log")
    first, other = (folder_of(again, "train", f"synthetic0-seed{seed}") for seed in (0, 1))
    weights = [(f / "model" / "model.safetensors").read_bytes() for f in (first, other)]
    assert weights[0] != weights[1]


def test_too_little_text_is_one_line(store, tmp_path):
    arguments = [*SMALL, f"store={store}", "train.tokens=10000000", "mixture.ratios=[1]"]
    command = Command(arguments, tmp_path / "log")
    assert command.wait() == 2
    assert "error: source 'synthetic' holds" in command.output
    assert "Traceback" not in command.output


@pytest.mark.slow
def test_selections_are_parts_of_the_synthetic_text(store, tmp_path):
    """Shares the corpus, the tokenizer and two arms with the ratios."""
    arguments = [a.replace("pretrain_ratio", "pretrain_selection") for a in SMALL]
    before = {path: path.stat().st_mtime_ns for path in store.glob("*/*/record.json")}
    run([*arguments, f"store={store}"], tmp_path / "log")
    assert {path: path.stat().st_mtime_ns for path in before} == before
    pool = {row["id"]: len(row["text"]) for row in texts(store, "train")
            if row["kind"] == "synthetic"}  # fmt: skip
    seen = set()
    for method in METHODS:
        folder = folder_of(store, "select", f"{method}-seed0")
        rows = pq.read_table(folder / "selection.parquet").to_pylist()
        assert {row["id"] for row in rows} == set(pool)
        chosen = {row["id"] for row in rows if row["chosen"]}
        written = [row["id"] for path in sorted((folder / "train").glob("*.parquet"))
                   for row in pq.read_table(path).to_pylist()]  # fmt: skip
        assert set(written) == chosen
        taken = sum(pool[name] for name in chosen)
        assert 0 <= taken - sum(pool.values()) / 2 < max(pool.values())
        seen.add(frozenset(chosen))
        if method in ("dsir", "education", "perplexity"):
            kept, left = (np.mean([r["weight"] for r in rows if r["chosen"] == side])
                          for side in (True, False))  # fmt: skip
            assert kept > left
    assert len(seen) == len(METHODS)
    record = json.loads((folder_of(store, "select", "education-seed0") / "record.json").read_text())
    assert 0.5 < record["metrics"]["substitute_heldout_auc"] <= 1
    (path,) = store.glob("reports/pretrain_selection*/results.json")
    found = json.loads(path.read_text())
    assert found["reference"] == "synthetic100"
    assert {name.partition("-")[0] for name in found["selections"]} == set(METHODS)
    rows = [row for row in found["rows"] if row["metric"].startswith("bits per byte, mean")]
    assert len(rows) == 4
    for row in rows:
        assert set(row["arms"]) == {"synthetic0", "synthetic100", *METHODS}
        assert set(row["differences"]) == {"synthetic0", *METHODS}
        expected = row["arms"]["dsir"]["value"] - row["arms"]["synthetic100"]["value"]
        assert row["differences"]["dsir"]["value"] == pytest.approx(expected)


@pytest.mark.slow
def test_generations_learn_from_the_one_before(store, tmp_path):
    arguments = [a.replace("pretrain_ratio", "collapse_generations") for a in SMALL]
    run(
        [*arguments, f"store={store}", "collapse.generations=2", "collapse.epochs=60",
         "synthesis.documents=24", "synthesis.extract=20", "synthesis.max_new_tokens=32",
         "synthesis.batch=8", "synthesis.similarity=1", "score.above=0.001",
         "edit.threshold=0.001"],
        tmp_path / "log",
    )  # fmt: skip
    human = {row["id"]: row["text"] for row in texts(store, "train") if row["kind"] == "human"}

    def shards(kind: str, name: str, inside: str) -> dict[str, str]:
        folder = folder_of(store, kind, f"{name}-seed0") / inside
        return {row["id"]: row["text"] for path in sorted(folder.glob("*.parquet"))
                for row in pq.read_table(path).to_pylist()}  # fmt: skip

    first, second = (shards("edit", f"edit{g}", "shards") for g in (1, 2))
    assert set(first) == set(second) <= set(human)
    changed = [sum(a[k] != b[k] for k in first) for a, b in ((human, first), (first, second))]
    assert all(changed)  # the second edits what the first left
    written = [shards("synthesize", f"replace{g}", "train") for g in (1, 2)]
    assert set(written[0]).isdisjoint(written[1])
    for number in (1, 2):
        rows = pq.read_table(
            folder_of(store, "mixture", f"accumulate{number}-seed0") / "manifest.parquet"
        ).to_pylist()
        made = sum(row["tokens"] for row in rows if row["source"] == "synthetic")
        assert abs(made - 64 * 64 * number / (number + 1)) < 1
        generations = {row["id"].split("-")[1] for row in rows if row["source"] == "synthetic"}
        assert generations == {str(g) for g in range(1, number + 1)}
    (path,) = store.glob("reports/collapse*/results.json")
    arms = list(json.loads(path.read_text())["rows"][0]["arms"])
    assert arms == ["synthetic0", *(f"{mode}{g}" for mode in MODES for g in (1, 2))]
