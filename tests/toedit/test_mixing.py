"""Mixtures: exact to the token, whole documents, the same whatever else is mixed in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toedit.corpora.mixing import digest, mix, quotas
from toedit.errors import UserError

END = 0


def corpus(name: str, sizes: list[int]) -> list[tuple[str, list[int]]]:
    return [(f"{name}{i}", [*range(1, size), END]) for i, size in enumerate(sizes)]


SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=20)


@given(SIZES, SIZES, st.floats(0, 1), st.integers(1, 300))
def test_shares_are_exact_and_only_the_last_document_is_cut(human, synthetic, ratio, tokens):
    sources = {"human": corpus("h", human), "synthetic": corpus("s", synthetic)}
    shares = {"synthetic": ratio, "human": 1 - ratio}
    wanted = quotas(shares, tokens)
    assert sum(wanted.values()) == tokens
    assert abs(wanted["synthetic"] - ratio * tokens) <= 1
    sizes = {"human": sum(human), "synthetic": sum(synthetic)}
    if any(wanted[name] > sizes[name] for name in wanted):
        with pytest.raises(UserError, match="allow more epochs"):
            mix(sources, shares, tokens)
        return
    taken = mix(sources, shares, tokens)
    for name, documents in sources.items():
        own = {t.id: t for t in taken if t.source == name}
        assert sum(len(t.tokens) for t in own.values()) == wanted[name]
        assert list(own) == [t.id for t in taken if t.source == name]  # each once
        first = [identity for identity, _ in documents[: len(own)]]
        assert set(own) == set(first)
        assert sum(t.cut for t in own.values()) <= 1
        for identity, ids in documents[: len(own)]:
            assert own[identity].tokens.tolist() == ids[: len(own[identity].tokens)]
            assert own[identity].cut == (len(own[identity].tokens) < len(ids))


def test_what_two_mixtures_share_stands_in_the_same_order():
    sources = {"human": corpus("h", [5] * 30), "synthetic": corpus("s", [5] * 30)}
    orders = []
    for ratio in (0.0, 0.2, 0.5):
        taken = mix(sources, {"synthetic": ratio, "human": 1 - ratio}, 100)
        orders.append([t.id for t in taken if t.source == "human"])
    assert [i for i in orders[0] if i in orders[1]] == orders[1]
    assert [i for i in orders[1] if i in orders[2]] == orders[2]


def test_epochs_repeat_a_source_and_are_said_so():
    sources = {"small": corpus("d", [3, 4])}
    with pytest.raises(UserError, match="holds 7 tokens, but its share of the mixture is 16"):
        mix(sources, {"small": 1.0}, 16)
    taken = mix(sources, {"small": 1.0}, 16, epochs=3)
    assert sorted((t.epoch, t.id, len(t.tokens)) for t in taken) == [
        (0, "d0", 3), (0, "d1", 4), (1, "d0", 3), (1, "d1", 4), (2, "d0", 2)]  # fmt: skip
    assert digest(taken) == digest(mix(sources, {"small": 1.0}, 16, epochs=5))


@pytest.mark.parametrize("shares", [{"a": 0.5}, {"a": 1.5, "b": -0.5}, {"a": float("nan")}])
def test_shares_must_add_up(shares):
    with pytest.raises(UserError, match="add up to 1"):
        quotas(shares, 10)


def test_a_document_that_is_cut_ends_in_the_separator():
    (taken,) = mix({"a": corpus("a", [9])}, {"a": 1.0}, 4, separator=77)
    assert taken.cut
    assert taken.tokens.tolist() == [1, 2, 3, 77]
    (whole,) = mix({"a": corpus("a", [9])}, {"a": 1.0}, 9, separator=77)
    assert whole.tokens[-1] == END


def test_tokens_keep_their_type():
    (taken,) = mix({"a": corpus("a", [9])}, {"a": 1.0}, 9)
    assert taken.tokens.dtype == np.int32
