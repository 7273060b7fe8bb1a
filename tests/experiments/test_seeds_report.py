"""The report over several seeds and with controls, on numbers that a hand can check."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from evals.suites import suite
from experiments.fingerprint import Stage
from experiments.paper.comparison import detectable_spreads, difference_over_seeds
from experiments.paper.controls import explained, verdict
from experiments.paper.report import markdown
from experiments.paper.results import by_arm, results
from experiments.plans.train_on_edits import plan
from experiments.schema import CONTROLS, Config, ScoreConfig
from experiments.stages.evaluate import (
    HELD_OUT_TASK,
    PREDICTIONS,
    summarize,
    summarize_held_out,
)
from experiments.store import Store
from toedit.corpora.files import write_json

SEEDS = [7, 3, 5]
T975, T80 = 4.302653, 1.060660
"""Quantiles of Student's t with two degrees of freedom."""

BITS = {
    "base": [9.0],
    "source": [4.0, 6.0, 8.0],
    "edited": [2.9, 4.8, 6.7],  # minus source: -1.1, -1.2, -1.3
    "random_edit": [4.05, 5.95, 8.0],  # +0.05, -0.05, 0
    "label_smoothing": [3.0, 4.7, 6.7],  # -1.0, -1.3, -1.3
}
"""Held-out bits per byte by arm, in the order of the seeds."""

RIGHT = {
    "base": [0],
    "source": [1, 0, 2],
    "edited": [2, 1, 2],
    "random_edit": [1, 0, 2],
    "label_smoothing": [0, 1, 2],
}
"""Right answers of two PubMedQA items; of the other tasks the first item is right in every arm."""

CORPUS = {
    "train_documents": 21, "train_characters": 36317, "train_available": 1049,
    "benchmark_items": 5857, "dropped_by_item_id": 1, "dropped_by_13gram": 2,
}  # fmt: skip


CHANGED = {"7": 130, "3": 140, "5": 150, "": 130}
"""Tokens changed by seed; without one there is a single seed."""


def edit_metrics(name: str) -> dict:
    preset, _, seed = name.partition("-seed")
    changed = 0 if preset == "no_edit" else CHANGED[seed]
    return {
        "changed_per_10k": changed / 10, "changed": changed, "deleted": 0, "tokens": 100_000,
        "eligible": 500, "eligible_share": 0.005, "smoothing": 0.0288, "failed": 0,
        "kl": None if preset == "random_edit" else 0.03, "histogram": [0.1] * 10,
    }  # fmt: skip


def predictions(arm: str, number: int) -> dict[str, list[dict]]:
    """Two held-out documents and two items a task, of an arm and the place of its seed."""
    bits, right = BITS[arm][number], RIGHT[arm][number]
    # Of unlike sizes: a mean over documents would not be the ratio of sums.
    sizes = {"a": (10, 0.5 * bits), "b": (30, 3.5 * bits / 3)}
    found = {
        HELD_OUT_TASK: [
            {"item": item, "nll": rate * size * math.log(2), "tokens": size, "bytes": size}
            for item, (size, rate) in sizes.items()
        ]
    }
    for task in suite("biomedicine_embedded"):
        hits = right if task.name == "pubmedqa_yesno" else 1
        found[task.name] = [
            {"item": str(i), "value": float(i < hits), "gold": 0, "prediction": 0,
             "group": 0, "gold_logprob": -1.0 - number * (arm == "edited")}
            for i in range(2)
        ]  # fmt: skip
    return found


def run_of(folder: Path, **fields) -> tuple[Config, list[Stage], dict, Store]:
    """An experiment whose stages have left these numbers."""
    config = Config(name="x", score=ScoreConfig(below=1.0), store=str(folder), **fields)
    stages, store, records = plan(config), Store(folder), {}
    runs = config.seeds or [config.seed]
    for stage in stages:
        metrics = {}
        if stage.kind == "corpus":
            metrics = CORPUS
        elif stage.kind == "edit":
            metrics = edit_metrics(stage.name)
        elif stage.kind == "train":
            metrics = {"steps": 8, "tokens": 4096}
        elif stage.kind == "identical":
            metrics = {"documents": 21, "sha256": "ab"}
        elif stage.kind == "evaluate":
            arm, _, seed = stage.name.partition("-seed")
            found = predictions(arm, runs.index(int(seed)) if seed else 0)
            for task, rows in found.items():
                path = store.folder(stage) / PREDICTIONS / f"{task}.parquet"
                path.parent.mkdir(parents=True, exist_ok=True)
                pq.write_table(pa.Table.from_pylist(rows), path)
            metrics = {t.name: summarize(t, found[t.name]) for t in suite("biomedicine_embedded")}
            metrics[HELD_OUT_TASK] = summarize_held_out(found[HELD_OUT_TASK])
        records[f"{stage.kind}/{stage.name}"] = {"metrics": metrics, "seconds": 1}
    return config, stages, records, store


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    return run_of(tmp_path_factory.mktemp("seeds"), seeds=SEEDS, controls=list(CONTROLS))


@pytest.fixture(scope="module")
def found(experiment):
    return results(*experiment)


def row(found: dict, start: str) -> dict:
    return next(one for one in found["rows"] if one["metric"].startswith(start))


def test_a_difference_over_seeds_by_hand():
    change = difference_over_seeds([2.9, 4.8, 6.7], [4.0, 6.0, 8.0])
    assert change.seeds == pytest.approx([-1.1, -1.2, -1.3])
    assert change.value == pytest.approx(-1.2)
    half = T975 * 0.1 / math.sqrt(3)
    assert [change.low, change.high] == pytest.approx([-1.2 - half, -1.2 + half], rel=1e-5)
    assert change.detectable == pytest.approx((T975 + T80) * 0.1 / math.sqrt(3), rel=1e-5)
    assert detectable_spreads(2) == pytest.approx((12.7062 + 1.37638) / math.sqrt(2), rel=1e-5)
    with pytest.raises(ValueError, match=r"shorter|longer"):
        difference_over_seeds([1.0, 2.0], [1.0, 2.0, 3.0])


def test_seeds_that_differ_by_the_same_give_no_interval():
    change = difference_over_seeds([0.55, 0.6, 0.8], [0.5, 0.55, 0.75])  # but for rounding
    assert change.value == pytest.approx(0.05)
    assert (change.low, change.high, change.detectable) == (None, None, None)


def test_cells_are_means_over_seeds_and_base_is_evaluated_once(found):
    arms = row(found, "held-out bits")["arms"]
    assert list(arms) == ["base", "source", "edited", "random_edit", "label_smoothing"]
    for arm in list(arms)[1:]:
        assert arms[arm]["seeds"] == pytest.approx(BITS[arm])
        assert arms[arm]["value"] == pytest.approx(sum(BITS[arm]) / 3)
    assert arms["source"]["sd"] == pytest.approx(2.0)
    assert arms["base"]["value"] == pytest.approx(9.0)
    assert set(arms["base"]) == {"value", "stderr"}


def test_every_seed_is_paired_with_its_own_source(found):
    change = row(found, "held-out bits")["difference"]
    assert change["seeds"] == pytest.approx([-1.1, -1.2, -1.3])
    assert change["value"] == pytest.approx(-1.2)
    half = T975 * 0.1 / math.sqrt(3)
    assert change["high"] - change["value"] == pytest.approx(half, rel=1e-5)
    change = row(found, "PubMedQA yes/no, acc")["difference"]
    assert change["seeds"] == pytest.approx([50, 50, 0])
    assert change["value"] == pytest.approx(100 / 3)
    change = row(found, "average")["difference"]
    assert change["seeds"] == pytest.approx([50 / 3, 50 / 3, 0])
    change = row(found, "log p(gold), MedMCQA")["difference"]
    assert change["seeds"] == pytest.approx([0, -1, -2])


def test_items_of_the_first_seed_are_compared_too(found):
    change = row(found, "held-out bits")["difference"]["over_items"]
    assert change["value"] == pytest.approx(-1.1)
    assert change["low"] <= -1.1 <= change["high"]
    assert set(change) == {"value", "low", "high", "detectable"}
    assert row(found, "PubMedQA yes/no, acc")["difference"]["over_items"]["value"] == 50


def test_a_control_is_compared_with_source_and_edited(found):
    controls = row(found, "held-out bits")["controls"]
    changes = {
        (name, which): change["seeds"] for name, own in controls.items()
        for which, change in own.items()
    }  # fmt: skip
    assert changes == {
        ("random_edit", "minus_source"): pytest.approx([0.05, -0.05, 0]),
        ("random_edit", "edited_minus"): pytest.approx([-1.15, -1.15, -1.3]),
        ("label_smoothing", "minus_source"): pytest.approx([-1.0, -1.3, -1.3]),
        ("label_smoothing", "edited_minus"): pytest.approx([-0.1, 0.1, 0.0]),
    }
    first = controls["label_smoothing"]["edited_minus"]["over_items"]
    assert first["value"] == pytest.approx(-0.1)
    assert controls["random_edit"]["minus_source"]["value"] == pytest.approx(0)


def test_the_order_of_the_stages_does_not_matter(experiment, found):
    config, stages, records, store = experiment
    again = results(config, sorted(stages, key=lambda stage: stage.name), records, store)
    for one, other in zip(found["rows"], again["rows"], strict=True):
        assert one["difference"] == other["difference"]
        assert one["arms"] == other["arms"]
    arms = by_arm(stages, "evaluate", SEEDS)
    assert [stage.name for stage in arms["edited"]] == [f"edited-seed{seed}" for seed in SEEDS]


def test_a_missing_seed_is_an_error(experiment):
    config, stages, records, store = experiment
    part = [stage for stage in stages if stage.label.split("-seed3")[0] != "evaluate/edited"]
    assert len(part) == len(stages) - 1
    with pytest.raises(KeyError):
        results(config, part, records, store)
    lone = [s for s in stages if s.kind != "evaluate" or s.name in ("base", "edited-seed7")
            or s.name.startswith("source")]  # fmt: skip
    with pytest.raises(ValueError, match=r"shorter|longer"):
        results(config, lone, records, store)


def test_the_values_are_plain_json(found, tmp_path):
    write_json(tmp_path / "results.json", found)
    kept = json.loads((tmp_path / "results.json").read_text())
    assert kept["rows"] == found["rows"]
    assert kept["controls"]["edits"]["random_edit"]["changed"] == [130, 140, 150]
    assert kept["controls"]["edits"]["edited"]["changed"] == [130, 140, 150]
    assert set(kept["controls"]["edits"]) == {"edited", "random_edit"}
    assert kept["controls"]["no_edit"] == {"documents": 21, "sha256": "ab"}


def test_the_page_shows_seeds_and_controls(found):
    page = markdown(found)
    assert page.startswith("# x, seeds 7, 3, 5\n")
    lines = {line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]]
             for line in page.splitlines() if line.startswith("|")}  # fmt: skip
    assert lines["paper_text"][0] == "14.0 ± 1.0"
    assert lines["no_edit"][0] == "0.0"
    names = [name for name in lines if name in ("no_edit", "paper_text", "random_edit")]
    assert names[0] == "paper_text"  # controls after the rule
    assert "metric (* primary), mean ± s.d. over 3 seeds" in lines
    tables = page.split("\n\n")
    starts = ("| metric", "| controls, with 95 % intervals over seeds")
    arms, controls = (next(t for t in tables if t.startswith(start)) for start in starts)
    cells = [cell.strip() for cell in arms.splitlines()[2].split("|")]
    assert cells[4:7] == ["9.0000", "6.0000 ± 2.0000", "4.8000 ± 1.9000"]
    assert cells[9:12] == ["-1.2000", "[-1.4484, -0.9516]", "0.3097"]
    head, _, bits, *others = ([c.strip() for c in line.split("|")][1:-1]
                              for line in controls.splitlines())  # fmt: skip
    assert head[1:] == ["random_edit − source", "edited − random_edit",
                        "label_smoothing − source", "edited − label_smoothing"]  # fmt: skip
    assert bits[1].startswith("+0.0000 [")  # not 3e-16
    assert bits[2] == "-1.2000 [-1.4151, -0.9849]"
    assert bits[4].split(" ", 1)[1] == "[-0.2484, +0.2484]"
    same = next(cells for cells in others if cells[0].startswith("MedMCQA, acc"))
    assert same[1] == "+0.00"  # every seed alike: no interval
    assert not any("perplexity" in cells[0] for cells in others)
    assert "3.1 standard deviations" in page
    assert "Where the interval is empty every seed differs by the same" in page
    assert "once a seed" in page
    assert "one training run an arm" not in page


def test_what_the_controls_say(found):
    text = explained(found)
    assert "Tokens changed: edited 130 to 150 of 100000, random_edit 130 to 150 of 100000." in text
    assert "of the 500 tokens that the rule may redraw are smoothed by 2.88 %" in text
    assert "left all 21 documents byte-identical" in text
    assert "wherever they fall: not supported by held-out bits per byte." in text
    assert "unedited: supported by held-out bits per byte." in text


def change(low: float | None, high: float | None) -> dict:
    return {"low": low, "high": high}


@pytest.mark.parametrize(
    ("difference", "control", "edited", "wanted"),
    [
        (change(1, 2), change(0.5, 1), change(-1, 1), "supported"),
        (change(-2, -1), change(-1, -0.5), change(-1, 1), "supported"),
        (change(1, 2), change(2, 4), change(-3, -1), "supported"),  # the control goes further
        (change(1, 2), change(-1, 1), change(0.5, 1), "not supported"),
        (change(1, 2), change(0.1, 0.2), change(0.5, 1), "not supported"),  # of the whole
        (change(1, 2), change(-1, 1), change(-1, 1), "open"),
        (change(1, 2), change(-2, -1), change(-1, 9), "open"),
        (change(1, 2), change(None, None), change(None, None), "open"),
        (change(-1, 2), change(1, 2), change(-1, 1), None),  # nothing to explain
        (change(0, 2), change(1, 2), change(-1, 1), None),
        (change(None, None), change(1, 2), change(-1, 1), None),
        (None, change(1, 2), None, None),  # edited was not trained
    ],
)
def test_verdicts_come_from_intervals_alone(difference, control, edited, wanted):
    row = {
        "difference": difference,
        "controls": {"random_edit": {"minus_source": control, "edited_minus": edited}},
    }
    assert verdict(row, "random_edit") == wanted
    assert verdict(row, "label_smoothing") is None


def test_without_a_difference_there_is_nothing_to_explain(found):
    none = change(-1.0, 1.0)
    text = explained({**found, "rows": [{**row, "difference": none} for row in found["rows"]]})
    assert "there is no difference yet that a control could explain" in text
    assert "supported" not in text


def test_one_seed_keeps_its_rows_and_its_page(tmp_path):
    one = results(*run_of(tmp_path / "one"))
    first = one["rows"][0]
    assert list(first) == ["metric", "primary", "arms", "majority", "random", "difference"]
    assert set(first["arms"]["edited"]) == {"value", "stderr"}
    assert set(first["difference"]) == {"value", "low", "high", "detectable"}
    assert first["difference"]["value"] == pytest.approx(-1.1)
    page = markdown(one)
    assert page.startswith("# x, seed 0\n")
    assert "| 95 % interval |" in " ".join(page.split())
    assert page.endswith("not of seeds: there is one training run an arm.\n")
    for word in ("seeds 0", "s.d.", "controls"):
        assert word not in page
    named = results(*run_of(tmp_path / "seed7", seeds=[7]))
    assert named["rows"] == one["rows"]
    assert markdown(named) == page.replace("seed 0", "seed 7")


def test_controls_with_one_seed_are_compared_over_items(tmp_path):
    config, stages, records, store = run_of(
        tmp_path, seeds=[7], controls=["random_edit"], arms=["source"]
    )
    values = results(config, stages, records, store)
    own = values["rows"][0]["controls"]["random_edit"]
    assert own["minus_source"]["value"] == pytest.approx(0.05)
    assert own["edited_minus"] is None
    page = markdown(values)
    assert "controls, with 95 % intervals over items" in page
    assert "supported" not in page
    assert "Tokens changed: random_edit 130 of 100000." in page
