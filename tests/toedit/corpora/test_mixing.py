"""Mixtures: exact to the token, whole documents, the same whatever else is mixed in."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toedit.corpora.mixing import Digest, Documents, mix, quotas
from toedit.corpora.tokens import read_index, token_dtype, tokens_at, write_tokens
from toedit.errors import UserError


def corpus(name: str, sizes: list[int]) -> Documents:
    return Documents(pa.array([f"{name}{i}" for i in range(len(sizes))]), np.array(sizes))


SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=20)


@given(SIZES, SIZES, st.floats(0, 1), st.integers(1, 300))
def test_shares_are_exact_and_only_the_last_document_is_cut(human, synthetic, ratio, tokens):
    sizes = {"human": human, "synthetic": synthetic}
    sources = {name: corpus(name, own) for name, own in sizes.items()}
    shares = {"synthetic": ratio, "human": 1 - ratio}
    wanted = quotas(shares, tokens)
    assert sum(wanted.values()) == tokens
    assert abs(wanted["synthetic"] - ratio * tokens) <= 1
    if any(wanted[name] > sum(sizes[name]) for name in wanted):
        with pytest.raises(UserError, match="allow more epochs"):
            mix(sources, shares, tokens)
        return
    taken = mix(sources, shares, tokens).to_pylist()
    for name, own in sizes.items():
        found = {row["row"]: row for row in taken if row["source"] == name}
        assert sum(row["tokens"] for row in found.values()) == wanted[name]
        assert sorted(found) == list(range(len(found)))  # the first documents, each once
        assert len(found) == sum(row["source"] == name for row in taken)
        assert all(row["id"] == f"{name}{i}" for i, row in found.items())
        short = [i for i, row in found.items() if row["tokens"] < own[i]]
        assert short == [i for i, row in found.items() if row["cut"]]
        assert short in ([], [len(found) - 1])
        assert all(row["tokens"] > 0 for row in found.values())


def test_what_two_mixtures_share_stands_in_the_same_order():
    sources = {"human": corpus("h", [5] * 30), "synthetic": corpus("s", [5] * 30)}
    orders = []
    for ratio in (0.0, 0.2, 0.5):
        taken = mix(sources, {"synthetic": ratio, "human": 1 - ratio}, 100).to_pylist()
        orders.append([row["id"] for row in taken if row["source"] == "human"])
    assert [i for i in orders[0] if i in orders[1]] == orders[1]
    assert [i for i in orders[1] if i in orders[2]] == orders[2]
    assert orders[0] != sorted(orders[0], key=lambda i: int(i[1:]))


def test_epochs_repeat_a_source_and_are_said_so():
    sources = {"small": corpus("d", [3, 4])}
    with pytest.raises(UserError, match="holds 7 tokens, but its share of the mixture is 16"):
        mix(sources, {"small": 1.0}, 16)
    taken = mix(sources, {"small": 1.0}, 16, epochs=3)
    found = sorted((row["epoch"], row["id"], row["tokens"]) for row in taken.to_pylist())
    assert found == [(0, "d0", 3), (0, "d1", 4), (1, "d0", 3), (1, "d1", 4), (2, "d0", 2)]
    assert taken.equals(mix(sources, {"small": 1.0}, 16, epochs=5))


@pytest.mark.parametrize("shares", [{"a": 0.5}, {"a": 1.5, "b": -0.5}, {"a": float("nan")}])
def test_shares_must_add_up(shares):
    with pytest.raises(UserError, match="add up to 1"):
        quotas(shares, 10)


@given(st.lists(st.lists(st.integers(0, 70_000), max_size=9), min_size=1, max_size=9))
def test_token_shards_give_back_every_document(documents):
    with TemporaryDirectory() as folder:
        named = [({"id": f"d{i}", "kind": "k"}, ids) for i, ids in enumerate(documents)]
        for shard, part in enumerate((named[:4], named[4:])):
            write_tokens(Path(folder), f"{shard:05d}", part, ["id", "kind"], 70_001)
        index, shards = read_index([Path(folder)])
        found = [
            (row["id"], tokens_at(shards[row["shard"]], row["start"], row["tokens"]).tolist())
            for row in index.to_pylist()
        ]
    assert found == [(columns["id"], list(ids)) for columns, ids in named]


def test_small_vocabularies_take_half_of_the_space_and_nothing_overflows():
    assert [token_dtype(n) for n in (65_536, 65_537)] == [np.uint16, np.uint32]


def test_a_shard_that_lacks_tokens_is_named(tmp_path):
    write_tokens(tmp_path, "00000", [({"id": "a"}, [1, 2, 3])], ["id"], 9)
    np.save(tmp_path / "00000.npy", np.zeros(2, np.uint16))
    with pytest.raises(UserError, match=r"00000\.npy.*3 tokens of its index"):
        read_index([tmp_path])


def test_digests_tell_tokens_documents_and_epochs_apart_but_not_their_type():
    def digest(*documents):
        whole = Digest()
        for document in documents:
            whole.add(*document)
        return whole.hexdigest()

    one = np.array([1, 2], np.uint16)
    same = digest(("s", "a", 0, one))
    assert same == digest(("s", "a", 0, one.astype(np.uint32)))
    others = [("t", "a", 0, one), ("s", "b", 0, one), ("s", "a", 1, one), ("s", "a", 0, one[:1])]
    assert len({same, *map(digest, others)}) == 5
