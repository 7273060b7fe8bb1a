"""Data selection: against the package it comes from, and its invariants."""

import json
import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toedit.errors import UserError
from toedit.stats.density import Density, MinHash, near_duplicates
from toedit.stats.dsir import ImportanceModel, choose, gumbel
from toedit.stats.ngrams import HashedNgrams

WORDS = ["the", "a", "dog", "cat", "runs", "Über", "sees.", "½", "of,", "(most)", "things!",
         "東京", "don't", "x_1", "--"]  # fmt: skip
RNG = np.random.default_rng(0)


def documents(number: int, length: int, power: float) -> list[str]:
    shares = np.arange(1, len(WORDS) + 1) ** -power
    picks = RNG.choice(len(WORDS), (number, length), p=shares / shares.sum())
    return [" ".join(WORDS[i] for i in row) for row in picks]


@pytest.mark.parametrize("order", [1, 2, 3])
@given(st.text(max_size=60))
@settings(max_examples=60)
def test_features_are_those_of_the_package(order, text):
    package = pytest.importorskip("data_selection.hashed_ngram_dsir")
    expected = package.get_ngram_counts(text, n=order, num_buckets=1000)
    assert (HashedNgrams(order, 1000).counts([text]) == expected).all()


def test_weights_and_choice_are_those_of_the_package(tmp_path, monkeypatch):
    package = pytest.importorskip("data_selection")
    raw, target = documents(60, 120, 0.5), documents(40, 120, 1.5)
    raw[::7] = [text[:200] for text in raw[::7]]  # too short to be chosen
    for name, texts in (("raw", raw), ("target", target)):
        lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
        (tmp_path / f"{name}.jsonl").write_text(lines)
    theirs = package.HashedNgramDSIR(
        [str(tmp_path / "raw.jsonl")], [str(tmp_path / "target.jsonl")], str(tmp_path / "cache"),
        num_proc=1,
    )  # fmt: skip
    theirs.fit_importance_estimator()
    theirs.compute_importance_weights()
    expected = np.load(tmp_path / "cache" / "log_importance_weights" / "0.npy")
    ours = ImportanceModel.fit(target, raw)
    weights, words = map(np.array, zip(*map(ours.weight, raw), strict=True))
    assert np.abs(weights - expected).max() < 1e-6
    noise = gumbel(len(raw), 3)
    kept = int((words >= 100).sum())
    assert kept < len(raw)
    monkeypatch.setattr(np.random, "gumbel", lambda size: noise[: size[0]])
    theirs.resample(str(tmp_path / "out"), 12, str(tmp_path / "chosen"))
    lines = next((tmp_path / "out").rglob("*.jsonl")).read_text().splitlines()
    chosen = choose(weights, words, 12, noise)
    assert {json.loads(line)["text"] for line in lines} == {raw[i] for i in chosen}


def test_sums_favour_long_documents_and_means_do_not():
    model = ImportanceModel.fit(["a b c d"], ["a b x y"])
    (short, _), (long, _) = model.weight("c d"), model.weight("c d c d c d")
    assert long > 2 * short
    assert model.mean_weight("c " * 10)[0] == pytest.approx(model.mean_weight("c " * 20)[0], abs=1)


@pytest.mark.parametrize("empty", ["", " \n "])
def test_a_corpus_without_words_is_one_line(empty):
    with pytest.raises(UserError, match="target corpus of DSIR holds no word"):
        ImportanceModel.fit([empty], ["a"])
    with pytest.raises(UserError, match="raw corpus of DSIR holds no word"):
        ImportanceModel.fit(["a"], [empty])
    assert ImportanceModel.fit(["a"], ["b"]).mean_weight(empty) == (0.0, 0)


def test_the_memory_of_buckets_is_bounded_and_changes_nothing(monkeypatch):
    texts = documents(20, 50, 0.5)
    whole = HashedNgrams().counts(texts)
    monkeypatch.setattr("toedit.stats.ngrams.CACHED", 10)
    small = HashedNgrams()
    assert (small.counts(texts) == whole).all()
    assert len(small._known) <= 10


def test_response_is_the_mean_jaccard_similarity():
    texts = documents(30, 12, 1.0)
    sketch = Density(repetitions=4000, buckets=1 << 14)
    sketch.add(texts)

    def pairs(text: str) -> set[tuple[str, str]]:
        return set(pairwise(re.findall(r"\w+", text.lower())))

    for text in texts[:5]:
        own = pairs(text)
        exact = np.mean([len(own & pairs(o)) / len(own | pairs(o)) for o in texts])
        assert sketch.response(text) == pytest.approx(exact, abs=0.02)


def test_what_is_common_is_dense_and_copies_are_found():
    texts = ["one two three four five"] * 8 + ["six seven eight nine ten"]
    sketch = Density(repetitions=64)
    sketch.add(texts)
    assert sketch.response(texts[0]) > 7 * sketch.response(texts[-1])
    signatures = np.stack([MinHash(64).of(text) for text in [*texts, ""]])
    assert near_duplicates(signatures) == [False] + [True] * 7 + [False, False]
    assert near_duplicates(signatures[:0]) == []
