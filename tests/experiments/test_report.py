"""The page of results: numbers as they should be read, and the fine print."""

from __future__ import annotations

from experiments.paper.report import markdown

EDITING = {
    "changed_per_10k": 13.7, "eligible_share": 0.0536, "smoothing": 0.0288, "kl": 0.0293,
    "failed": 0, "tokens": 8057, "histogram": [0.5, 0.1, 0.1, *[0.05] * 6, 0.0],
}  # fmt: skip
CORPUS = {
    "train_documents": 21, "train_characters": 36317, "train_available": 1049,
    "benchmark_items": 5857, "dropped_by_item_id": 1, "dropped_by_13gram": 2,
    "documents_read": 1200, "overlap": {"medqa_en": {"documents": 0, "items": 0}}, "removed": True,
}  # fmt: skip


def values(**changes):
    cell = {"value": 0.91, "stderr": 0.038}
    row = {
        "metric": "held-out bits per byte",
        "primary": True,
        "arms": {"base": cell, "source": cell, "edited": {"value": 0.90999, "stderr": None}},
        "majority": None,
        "random": 25.0,
        "difference": {"value": -1.2e-5, "low": -0.5, "high": 0.0, "detectable": 0.2},
    }
    return {
        "experiment": "x", "seeds": [3], "note": "A note.", "corpus": CORPUS, "extra": None,
        "rows": [row], "controls": {},
        "editing": {"released_code": EDITING, "forced": {**EDITING, "kl": None}},
        "training": {"source": {"steps": 8, "tokens": 4096}}, **changes,
    }  # fmt: skip


def test_numbers_are_shown_as_they_should_be_read():
    page = markdown(values())
    assert page.startswith("# x, seed 3\n")
    assert "| released_code" in page
    assert "13.7" in page
    assert "0.0293" in page
    assert " inf " in page
    assert "-1.2e-05" in page  # not -0.0000
    assert "[-0.5000, +0.0000]" in page
    assert "0.9100 ± 0.0380" in page
    assert "held-out bits per byte *" in page
    lines = [line for line in page.splitlines() if line.startswith("|")]
    tables = {len(line) for line in lines}
    assert len(tables) == 3  # three tables, each of even width


def test_the_fine_print_says_what_was_checked_and_what_failed():
    page = markdown(values())
    assert "A note." in page
    assert "5857 benchmark items: 1 by id, 2 by a shared 13-gram" in page
    assert "8 steps on 4096 tokens" in page
    assert "could not be scored" not in page
    unchecked = markdown(values(corpus={**CORPUS, "benchmark_items": 0}))
    assert "was not checked" in unchecked
    failed = markdown(values(editing={"released_code": {**EDITING, "failed": 7}}))
    assert "7 documents could not be scored" in failed


def test_overlap_is_named_by_task_and_only_counted_where_nothing_was_dropped():
    assert "13-gram. Each row" in markdown(values())  # no task has any
    overlap = {"medqa_en": {"documents": 3, "items": 2}, "medmcqa_en": {"documents": 0, "items": 0}}
    found = "(of 1200 documents read: medqa_en 3 documents and 2 items)."
    page = markdown(values(corpus={**CORPUS, "overlap": overlap}))
    assert f"2 by a shared 13-gram {found}" in page
    page = markdown(values(corpus={**CORPUS, "overlap": overlap, "removed": False}))
    assert f"overlap with 5857 benchmark items was counted and nothing dropped {found}" in page
    assert "by id" not in page
    page = markdown(values(corpus={**CORPUS, "removed": False}))
    assert "nothing dropped (no shared 13-gram)." in page


SFT = {"steps": 8, "tokens": 4096, "records": 30, "learned": 2000, "padding": 512, "cut": 1,
       "left_out": 2}  # fmt: skip


def test_what_was_learned_of_conversations_is_the_same_or_said_to_differ():
    matched = markdown(values(training={"source": SFT, "edited": SFT}))
    counts = "2000 tokens of 30 records (padding 12.50 %, 1 cut, 2 left out)"
    assert f"Of the corpus every arm learned {counts}." in matched
    other = {**SFT, "learned": 1990, "records": 31}
    page = markdown(values(training={"source": SFT, "edited": other}))
    assert "the arms did not learn the same amount" in page
    assert f"source {counts}; edited 1990 tokens of 31 records (padding" in page


def test_seeds_of_an_arm_are_shown_together():
    training = {f"source-seed{seed}": SFT for seed in (0, 1)}
    training |= {"edited-seed0": SFT, "edited-seed1": {**SFT, "learned": 2010, "padding": 1024}}
    page = markdown(values(training=training))
    assert "edited 2000 to 2010 tokens of 30 records (padding 12.50 to 25.00 %," in page


def test_a_second_text_is_stated_with_its_share():
    trained = {**SFT, "extra_tokens": 1024, "extra_records": 9, "extra_padding": 7}
    extra = {**CORPUS, "train_documents": 400, "benchmark_items": 0}
    page = markdown(values(training={"source": trained}, extra=extra))
    assert "8 steps on 4096 tokens, of which 1024 (25.0 %) are of a second text." in page
    assert "(padding 16.67 %," in page  # of 3072 tokens
    assert "Second text: 400 documents (36317 characters) of 1049, never edited; overlap" in page
    assert "econd text" not in markdown(values())
