"""The page of arms over several seeds and with controls, on numbers that a hand can check."""

import json
import math

import pytest
from scipy import stats
from written import executed

from evals.suites import suite
from experiments.analysis.estimate import Estimate
from experiments.config import CONTROLS, REDRAWN, Config, ScoreConfig, TrackerConfig
from experiments.reports.arms import results
from experiments.reports.arms_page import markdown
from experiments.reports.controls import explained, verdict
from experiments.reports.report import arms_report
from experiments.stages.evaluate import (
    HELD_OUT_TASK,
    PREDICTIONS,
    summarize,
    summarize_held_out,
)

SEEDS = [7, 3, 5]
BITS = {
    "base": [9.0],
    "source": [4.0, 6.0, 8.0],
    "edited": [2.9, 4.8, 6.7],  # minus source: -1.1, -1.2, -1.3
    "random_edit": [4.05, 5.95, 8.0],  # +0.05, -0.05, 0
    "label_smoothing": [3.0, 4.7, 6.7],  # -1.0, -1.3, -1.3
}
"""Held-out bits per byte by arm, in the order of the seeds."""

RIGHT = {"base": [0], "source": [1, 0, 2], "edited": [2, 1, 2], "random_edit": [1, 0, 2],
         "label_smoothing": [0, 1, 2]}  # fmt: skip
"""Right answers of two PubMedQA items; of the other tasks the first item is right in every arm."""

CORPUS = {
    "train_documents": 21, "train_characters": 36317, "train_available": 1049,
    "benchmark_items": 5857, "dropped_by_item_id": 1, "dropped_by_13gram": 2,
    "documents_read": 1200, "overlap": {"medqa_en": {"documents": 0, "items": 0}},
}  # fmt: skip
CHANGED = {7: 130, 3: 140, 5: 150}
"""Tokens changed by seed."""


def edit_metrics(stage) -> dict:
    changed = 0 if stage.arm == "no_edit" else CHANGED.get(stage.seed, 130)
    return {
        "changed_per_10k": changed / 10, "changed": changed, "deleted": 0, "tokens": 100_000,
        "eligible": 500, "eligible_share": 0.005, "smoothing": 0.0288, "failed": 0,
        "kl": None if stage.arm == "random_edit" else 0.03, "histogram": [0.1] * 10,
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
        gold = -1.0 - number * (arm == "edited")
        found[task.name] = [
            {"item": str(i), "value": float(i < hits), "gold": 0, "prediction": 0, "group": 0,
             "gold_logprob": gold, "option_logprobs": [gold, -3.0]}
            for i in range(2)
        ]  # fmt: skip
    return found


def measured(seeds: list[int]):
    def measure(stage):
        tables: dict = {}
        metrics: dict = {}
        if stage.kind == "corpus":
            metrics = CORPUS
        elif stage.kind == "edit":
            metrics = edit_metrics(stage)
        elif stage.kind == "train":
            metrics = {"steps": 8, "tokens": 4096}
        elif stage.kind == "identical":
            metrics = {"documents": 21, "sha256": "ab"}
        elif stage.kind == "evaluate":
            found = predictions(stage.arm, 0 if stage.seed is None else seeds.index(stage.seed))
            tables = {f"{PREDICTIONS}/{task}.parquet": rows for task, rows in found.items()}
            metrics = {t.name: summarize(t, found[t.name]) for t in suite("biomedicine_embedded")}
            metrics[HELD_OUT_TASK] = summarize_held_out(found[HELD_OUT_TASK])
        return metrics, tables

    return measure


def run_of(folder, **fields):
    config = Config(name="x", score=ScoreConfig(below=1.0), store=str(folder),
                    tracker=TrackerConfig("none"), **fields)  # fmt: skip
    return executed(config, measured(fields.get("seeds") or [0]))


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    return run_of(
        tmp_path_factory.mktemp("seeds"),
        seeds=SEEDS,
        controls=[name for name in CONTROLS if name != REDRAWN],
    )


@pytest.fixture(scope="module")
def found(experiment):
    return results(*experiment)


def row(found: dict, start: str) -> dict:
    return next(one for one in found["rows"] if one["metric"].startswith(start))


def difference(found: dict, start: str, arm: str = "edited") -> Estimate:
    return Estimate.from_json(row(found, start)["differences"][arm])


def test_cells_are_means_over_seeds_and_base_is_evaluated_once(found):
    arms = row(found, "held-out bits")["arms"]
    assert list(arms) == ["base", "source", "edited", "random_edit", "label_smoothing"]
    for arm in list(arms)[1:]:
        assert arms[arm]["by_seed"] == pytest.approx(BITS[arm])
        assert arms[arm]["value"] == pytest.approx(sum(BITS[arm]) / 3)
    assert arms["source"]["sd_seeds"] == pytest.approx(2.0)
    assert (arms["base"]["value"], arms["base"]["sd_seeds"]) == (pytest.approx(9.0), None)


def test_every_seed_is_paired_with_its_own_source(found):
    change = difference(found, "held-out bits")
    assert change.by_seed == pytest.approx([-1.1, -1.2, -1.3])
    assert change.low < -1.2 < change.high
    assert difference(found, "PubMedQA yes/no, acc").by_seed == pytest.approx([50, 50, 0])
    assert difference(found, "average of the acc").by_seed == pytest.approx([50 / 3, 50 / 3, 0])
    assert difference(found, "MedMCQA, summed").by_seed == pytest.approx([0, -1, -2])
    norm = [math.log(1 / (1 + math.exp(-3 - gold))) for gold in (-1, -2, -3)]
    expected = [own - norm[0] for own in norm]
    assert difference(found, "MedMCQA, normalised").by_seed == pytest.approx(expected)
    assert difference(found, "MedMCQA, margin").by_seed == pytest.approx([0, -1, -2])


def test_the_normalised_log_probability_may_fall_where_the_sum_rises():
    from experiments.analysis.metrics import item_value

    before = {"option_logprobs": [-2.0, -3.0], "gold": 0, "gold_logprob": -2.0}
    after = {"option_logprobs": [-1.75, -2.7], "gold": 0, "gold_logprob": -1.75}
    sums, norms = ([item_value(own, name) for own in (before, after)]
                   for name in ("gold_logprob", "norm_logprob"))  # fmt: skip
    assert sums[1] > sums[0]
    assert norms[1] < norms[0]


def test_controls_are_compared_with_source_and_edited(found):
    controls = row(found, "held-out bits")["controls"]
    changes = {
        (name, which): change["by_seed"] for name, own in controls.items()
        for which, change in own.items()
    }  # fmt: skip
    assert changes == {
        ("random_edit", "minus_source"): pytest.approx([0.05, -0.05, 0]),
        ("random_edit", "edited_minus"): pytest.approx([-1.15, -1.15, -1.3]),
        ("label_smoothing", "minus_source"): pytest.approx([-1.0, -1.3, -1.3]),
        ("label_smoothing", "edited_minus"): pytest.approx([-0.1, 0.1, 0.0]),
    }


def test_the_page_is_made_again_from_records_alone(experiment, found):
    run, _ = experiment
    page = arms_report(run.root, run.folder)
    kept = json.loads((run.folder / "results.json").read_text())
    assert kept["rows"] == json.loads(json.dumps(found["rows"]))
    assert kept["controls"]["edits"]["random_edit"]["changed"] == [130, 140, 150]
    assert set(kept["controls"]["edits"]) == {"edited", "random_edit"}
    assert kept["controls"]["no_edit"] == {"documents": 21, "sha256": "ab"}
    assert kept["analysis"].keys() == {"claims_sha256", "claims_fixed"}
    assert page == (run.folder / "results.md").read_text() == markdown(found)


def test_the_page_shows_seeds_and_controls(found):
    page = markdown(found)
    assert page.startswith("# x, seeds 7, 3, 5\n")
    lines = {line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]]
             for line in page.splitlines() if line.startswith("|")}  # fmt: skip
    assert lines["paper_text"][1] == "13.0 to 15.0"
    assert lines["no_edit"][1] == "0.0"
    names = [name for name in lines if name in ("no_edit", "paper_text", "random_edit")]
    assert names[0] == "paper_text"  # controls after the rule
    (arms,) = (t for t in page.split("\n\n") if t.startswith("| metric"))
    bits = [cell.strip() for cell in arms.splitlines()[2].split("|")]
    assert bits[4].startswith("9.0000 ± ")
    assert bits[5].startswith("6.0000 ± ")
    assert bits[5].endswith(" (2.0000)")
    for said in ("random_edit − source", "edited − label_smoothing", "minus source [95 %], p",
                 "once a seed", "1 by id, 2 by a shared 13-gram", "no item differs",
                 "favours training on the source"):  # fmt: skip
        assert said in page, said
    assert "summed log p" not in page  # it stands in results.json


def test_what_the_controls_say(found):
    text = explained(found)
    assert "Tokens changed: edited 130 to 150 of 100000, random_edit 130 to 150 of 100000." in text
    assert "of the 500 tokens that the rule may redraw are smoothed by 2.88 %" in text
    assert "left all 21 documents byte-identical" in text


def change(low: float | None, high: float | None) -> dict:
    return {"low": low, "high": high}


@pytest.mark.parametrize(
    ("own", "control", "edited", "wanted"),
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
def test_verdicts_on_controls_come_from_intervals_alone(own, control, edited, wanted):
    found = {
        "differences": {} if own is None else {"edited": own},
        "controls": {"random_edit": {"minus_source": control, "edited_minus": edited}},
    }
    assert verdict(found, "random_edit") == wanted
    assert verdict(found, "label_smoothing") is None


def test_without_a_difference_there_is_nothing_to_explain(found):
    none = {"edited": change(-1.0, 1.0)}
    text = explained({**found, "rows": [{**own, "differences": none} for own in found["rows"]]})
    assert "there is no difference yet that a control could explain" in text
    assert "supported" not in text


def test_one_seed_says_that_it_is_one(tmp_path):
    one = results(*run_of(tmp_path / "one"))
    assert one["seeds"] == [0]
    found = difference(one, "held-out bits")
    assert (found.value, found.n_seeds, found.sd_seeds) == (pytest.approx(-1.1), 1, None)
    assert found.p == pytest.approx(
        2 * stats.t.sf(abs(found.value) / found.se_items, found.n_clusters - 1)
    )
    page = markdown(one)
    assert page.startswith("# x, seed 0\n")
    assert "say nothing of other seeds" in page
    assert "standard deviation over seeds" not in page
    named = results(*run_of(tmp_path / "seed7", seeds=[7]))
    assert [own["arms"] for own in named["rows"]] == [own["arms"] for own in one["rows"]]


SFT = {"steps": 8, "tokens": 4096, "records": 30, "learned": 2000, "padding": 512, "cut": 1,
       "left_out": 2}  # fmt: skip


def trained(found: dict, **arms: dict) -> dict:
    own = {name: {"arm": name.partition("_")[0], "seed": 0, **run} for name, run in arms.items()}
    return {**found, "training": own}


def test_what_was_learned_of_conversations_is_the_same_or_said_to_differ(found):
    counts = "2000 tokens of 30 records (padding 12.50 %, 1 cut, 2 left out)"
    matched = markdown(trained(found, source=SFT, edited=SFT))
    assert f"Of the corpus every arm learned {counts}." in matched
    other = {**SFT, "learned": 1990, "records": 31}
    page = markdown(trained(found, source=SFT, edited=other))
    assert "the arms did not learn the same amount" in page
    assert f"source {counts}; edited 1990 tokens of 31 records (padding" in page
    later = {**SFT, "learned": 2010, "padding": 1024}
    page = markdown(trained(found, source=SFT, edited=SFT, edited_again=later))
    assert "edited 2000 to 2010 tokens of 30 records (padding 12.50 to 25.00 %," in page


def test_a_second_text_is_stated_with_its_share(found):
    own = {**SFT, "extra_tokens": 1024, "extra_records": 9, "extra_padding": 7}
    extra = {**CORPUS, "removed": True, "train_documents": 400, "benchmark_items": 0}
    values = trained(found, source=own)
    page = markdown({**values, "corpora": {**found["corpora"], "extra": extra}})
    assert "8 steps on 4096 tokens, once a seed, of which 1024 (25.0 %) are of a second" in page
    assert "(padding 16.67 %," in page  # of 3072 tokens
    assert "Second text: 400 documents (36317 characters) of 1049, never edited; overlap" in page
    assert "econd text" not in markdown(found)


def test_overlap_is_named_by_task_and_only_counted_where_nothing_was_dropped(found):
    overlap = {"medqa_en": {"documents": 3, "items": 2}, "medmcqa_en": {"documents": 0, "items": 0}}
    touched = "(of 1200 documents read: medqa_en 3 documents and 2 items)"

    def page(**changes) -> str:
        return markdown({**found, "corpora": {"bioasq": {**CORPUS, "removed": True, **changes}}})

    assert f"2 by a shared 13-gram {touched}" in page(overlap=overlap)
    counted = page(overlap=overlap, removed=False)
    assert f"overlap with 5857 benchmark items was counted and nothing dropped {touched}" in counted
    assert "by id" not in counted
    assert "nothing dropped (no shared 13-gram)." in page(removed=False)
    assert "was not checked" in page(benchmark_items=0)


def test_documents_that_failed_are_said(found):
    editing = {name: {**own, "failed": 7} for name, own in found["editing"].items()}
    assert "7 documents could not be scored" in markdown({**found, "editing": editing})
    assert "could not be scored" not in markdown(found)


def test_items_that_were_cut_stand_beside_the_score(tmp_path):
    def counted(**counts):
        def measure(stage):
            metrics, tables = measured([0])(stage)
            if stage.kind == "evaluate" and stage.arm in counts:
                for task, number in counts[stage.arm].items():
                    metrics[task]["cut_items"] = number
            return metrics, tables

        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        config = Config(name="x", score=ScoreConfig(below=1.0), store=str(folder),
                        tracker=TrackerConfig("none"))  # fmt: skip
        found = results(*executed(config, measure))
        return found, markdown(found)

    found, page = counted()
    assert "cut" not in row(found, "MedQA (5 options), acc")
    assert "longer than the model reads" not in page
    every = {arm: {"medqa_en": 0} for arm in ("base", "source", "edited")}
    found, page = counted(**every)
    assert row(found, "MedQA (5 options), acc")["cut"] == dict.fromkeys(every, 0)
    assert "No item was longer than the model reads." in page
    found, page = counted(source={"medqa_en": 2}, edited={"medqa_en": 1})
    assert row(found, "MedQA (5 options), acc")["cut"] == {"source": 2, "edited": 1}
    assert "cut" not in row(found, "MedQA (5 options), normalised")
    assert "MedQA (5 options), acc % (n 2 of 1273) [1 to 2 cut] " in page
    assert "lost the beginning of their prompt: [… cut] (not counted in 1 of 3" in page
