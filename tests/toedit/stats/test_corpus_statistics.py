"""Statistics of corpora against naive references, and what becomes of them at the edges."""

import math
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toedit.errors import UserError
from toedit.stats import ngrams
from toedit.stats.divergence import entropy, js_distance, spread
from toedit.stats.embeddings import SentenceEncoder, purity
from toedit.stats.lexical import FrequentPairs, chunks, lexical
from toedit.stats.ngrams import HashedNgrams, words_of
from toedit.stats.perplexities import position

TEXTS = st.lists(st.text("ab cD. é東", max_size=30), max_size=12)
RNG = np.random.default_rng(0)


@pytest.mark.parametrize("order", [1, 2, 3])
@given(TEXTS, st.integers(1, 5))
@settings(max_examples=40)
def test_groups_hold_the_counts_of_their_documents(order, texts, groups):
    features = HashedNgrams(order, 50)
    found = features.grouped(texts, groups)
    assert found.shape == (order, min(groups, len(texts)), 50)
    for group in range(min(groups, len(texts))):
        own = texts[group::groups]
        assert (found[:, group].sum(axis=0) == features.counts(own)).all()
        for size in range(1, order + 1):
            runs = [words_of(t)[i : i + size] for t in own for i in range(len(words_of(t)))]
            alone = Counter(" ".join(run) for run in runs if len(run) == size)
            assert found[size - 1, group].sum() == sum(alone.values())


@given(TEXTS, st.integers(1, 4), st.integers(1, 9))
@settings(max_examples=60)
def test_chunks_are_full_share_no_document_and_are_cut_at_their_end_only(texts, number, words):
    found = chunks(texts, number, words)
    assert all(sum(map(len, chunk)) == words for chunk in found)
    own = Counter(map(tuple, map(words_of, texts)))
    whole = Counter(tuple(document) for chunk in found for document in chunk[:-1])
    assert whole <= own
    assert len(found) <= number
    for chunk in found:
        assert any(words_of(t)[: len(chunk[-1])] == chunk[-1] for t in texts)


def test_measures_are_what_their_names_say():
    documents = [["a", "b", "a", "c"], ["a", "b", "a", "c", "a"], ["d"]]
    found = lexical(documents)
    counts = np.array([5, 2, 2, 1]) / 10  # a, b, c, d
    assert found.words == 10
    assert found.type_token_ratio == 0.4
    assert found.entropy == pytest.approx(-(counts * np.log2(counts)).sum())
    slope = np.polyfit(np.log([1, 2, 3, 4]), np.log([5, 2, 2, 1]), 1)[0]
    assert found.zipf_slope == pytest.approx(slope)
    # ab ba ac | ab ba ac ca
    assert found.distinct_2 == pytest.approx(4 / 7)
    # aba bac | aba bac aca
    assert found.distinct_3 == pytest.approx(3 / 5)
    # abac | abac baca: the first run of both documents stands in the other
    assert found.self_repetition == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        ([], (0, None, None, None, None, None, None)),
        ([["a"]], (1, 1.0, 0.0, None, None, None, None)),
        ([["a", "a"]], (2, 0.5, 0.0, None, 1.0, None, None)),
        ([words_of("!!! 12 — ?!")] * 2, (8, 0.5, 2.0, 0.0, 0.5, 0.5, 1.0)),
        ([words_of("東京 は 大きい 。")] * 2, (8, 0.5, 2.0, 0.0, 0.5, 0.5, 1.0)),
    ],
    ids=["nothing", "one word", "one word twice", "no letters, twice", "another script, twice"],
)
def test_measures_of_small_samples_are_defined(documents, expected):
    found = lexical(documents)
    values = (found.words, found.type_token_ratio, found.entropy, found.zipf_slope,
              found.distinct_2, found.distinct_3, found.self_repetition)  # fmt: skip
    for value, wanted in zip(values, expected, strict=True):
        assert value == (pytest.approx(wanted) if wanted is not None else None)


@given(st.lists(st.text("abc d", max_size=40), max_size=30), st.integers(1, 6))
@settings(max_examples=60)
def test_frequent_pairs_lack_no_more_than_they_say(texts, capacity):
    found, exact = FrequentPairs(capacity), FrequentPairs()
    for text in texts:
        found.add(text)
        exact.add(text)
        assert len(found.counts) <= 2 * capacity
    assert exact.missing == 0
    assert exact.total == found.total == sum(exact.counts.values())
    for pair, count in exact.counts.items():
        assert count - found.missing <= found.counts[pair] <= count
    assert found.missing <= found.total / (capacity + 1)


def test_top_pairs_stand_in_order_of_their_number():
    pairs = FrequentPairs()
    pairs.add("A b a b c. b c")
    assert pairs.top(3) == [("a b", 2), ("b c", 2), (". b", 1)]


@given(st.lists(st.integers(0, 9), min_size=4, max_size=4),
       st.lists(st.integers(0, 9), min_size=4, max_size=4))  # fmt: skip
def test_distance_is_scipys(first, second):
    distance = pytest.importorskip("scipy.spatial.distance")
    a, b = np.array(first), np.array(second)
    if not a.any() or not b.any():
        assert math.isnan(js_distance(a, b))
        return
    assert float(js_distance(a, b)) == pytest.approx(distance.jensenshannon(a, b, 2), abs=1e-7)
    assert js_distance(a, b) == pytest.approx(js_distance(b, a))


def test_distance_and_entropy_at_their_ends():
    assert js_distance(np.array([3, 1, 0]), np.array([6, 2, 0])) == 0
    assert js_distance(np.array([3, 0]), np.array([0, 1])) == 1
    assert entropy(np.array([[1, 1, 1, 1], [4, 0, 0, 0]])).tolist() == [2.0, 0.0]


def test_spread_is_that_of_the_statistic_over_new_documents():
    shares = np.array([0.6, 0.3, 0.1])

    def corpus() -> np.ndarray:
        return RNG.multinomial(20, shares, size=80)

    def first(counts: np.ndarray) -> np.ndarray:
        return counts[..., 0] / counts.sum(axis=-1)

    truth = np.std([first(corpus().sum(axis=0)) for _ in range(1500)])
    assert spread(first, corpus()) == pytest.approx(truth, rel=0.25)
    assert spread(first, corpus()[:1]) is None


def test_spread_of_a_distance_is_not_too_small():
    """Near the floor it is too large, never too small: resampled documents add to the distance."""
    shares = RNG.dirichlet(np.full(200, 0.3))

    def corpus() -> np.ndarray:
        return RNG.multinomial(30, shares, size=60)

    truth = np.std([js_distance(corpus().sum(axis=0), corpus().sum(axis=0)) for _ in range(300)])
    found = np.mean([spread(js_distance, corpus(), corpus(), draws=200) for _ in range(10)])
    assert 0.95 * truth < found < 2.5 * truth


def test_alike_documents_lie_where_human_ones_do():
    values = RNG.normal(3, 1, 100_000)
    found = position(values, RNG.normal(3, 1, 100_000))
    assert found.lowest_quarter == pytest.approx(0.25, abs=0.01)
    assert found.inner_half == pytest.approx(0.5, abs=0.01)
    assert found.tail == pytest.approx(0.05, abs=0.005)
    assert found.spread == pytest.approx(1, abs=0.02)
    low = position(values, RNG.normal(0, 0.1, 1000))
    assert (low.lowest_quarter, low.tail) == (1.0, 0.0)
    assert low.spread == pytest.approx(0.1, abs=0.02)
    assert math.isnan(position(np.full(5, 2.0), values).spread)
    assert position(np.array([2.0]), np.array([2.0])).inner_half == 1


def test_purity_tells_apart_from_alike():
    def points(centre: float, count: int = 150) -> np.ndarray:
        found = RNG.normal(0, 0.3, (count, 8))
        found[:, 0] += centre
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    labels = np.repeat([0, 1], 150)
    assert purity(np.concatenate([points(2), points(-2)]), labels).mean() == 1
    alike = purity(np.concatenate([points(1), points(1)]), labels)
    assert alike.mean() == pytest.approx(0.5, abs=0.06)
    assert np.isnan(purity(points(1, 1), np.zeros(1))).all()
    assert purity(points(1, 3), np.zeros(3)).tolist() == [1, 1, 1]  # fewer than ten neighbours


def test_memory_does_not_grow_with_the_corpus(monkeypatch):
    """Every document brings new words and pairs, so that nothing may be kept of them."""
    monkeypatch.setattr(ngrams, "CACHED", 2000)

    def peak(number: int) -> int:
        texts = (" ".join(f"w{i}x{k}" for k in range(14)) for i in range(number))
        tracemalloc.start()
        counts, pairs = HashedNgrams(2, 500), FrequentPairs(1000)

        def counted():
            for text in texts:
                pairs.add(text)
                yield text

        counts.grouped(counted(), 64)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    peak(10)  # what is allocated once
    assert peak(6000) < 1.25 * peak(1500)


def test_copies_in_both_corpora_count_for_neither():
    same = np.tile([1.0, 0.0], (40, 1))
    found = purity(same, np.repeat([0, 1], 20))
    assert found == pytest.approx(np.full(40, 19 / 39))
    one = np.array([[1.0, 0.0], [0.6, 0.8], [0.6, 0.8], [0.6, 0.8]])
    assert purity(one, np.array([0, 0, 1, 1]), 1)[0] == pytest.approx(1 / 3)


def test_an_encoder_that_reads_less_is_one_line(tiny_encoder):
    with pytest.raises(UserError, match="reads 512 tokens, not 513"):
        SentenceEncoder(str(tiny_encoder), max_length=513)


def test_an_encoder_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(UserError, match="cannot load the sentence encoder"):
        SentenceEncoder(str(tmp_path))


def test_embeddings_are_means_of_unit_length_whatever_stands_beside_them(tiny_encoder):
    import torch

    encoder = SentenceEncoder(str(tiny_encoder), max_length=12)
    texts = ["", "the cat sat", "a dog ran and ran and ran and ran and ran and ran and ran"] * 20
    found = encoder.encode(texts)
    assert np.allclose(np.linalg.norm(found, axis=1), 1)
    assert np.allclose(found, np.concatenate([encoder.encode([t]) for t in texts[:3]] * 20),
                       atol=1e-5)  # fmt: skip
    cut = encoder.encode(["a dog ran and ran and ran and ran and ran"])
    assert np.allclose(found[2], cut[0], atol=1e-5)  # ten words fit
    tokens = encoder.tokenizer("the cat sat", return_tensors="pt")
    with torch.inference_mode():
        states = encoder.model(**tokens).last_hidden_state[0].mean(0).numpy()
    assert np.allclose(found[1], states / np.linalg.norm(states), atol=1e-5)


@pytest.mark.slow
def test_the_embedded_encoder_knows_what_sentences_mean():
    found = SentenceEncoder().encode(
        ["A cat sits on the mat.", "A kitten sat on a rug.", "Stocks fell as rates rose."]
    )
    assert found.shape == (3, 384)
    assert found[0] @ found[1] > 0.5 > 0.2 > found[0] @ found[2]
