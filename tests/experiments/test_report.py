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
        "experiment": "x", "seed": 3, "note": "A note.", "corpus": CORPUS, "rows": [row],
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
