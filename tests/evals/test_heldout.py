"""Held-out perplexity and bits per byte against the table's own numbers."""

import math
from itertools import pairwise

import pytest

from evals.heldout import bits_per_byte, held_out, perplexity
from toedit.document import Document
from toedit.priors.table import TablePrior


def test_nll_tokens_and_bytes_by_hand(table_prior):
    text = "quiz é"
    rows = held_out(table_prior, [Document("a", text), Document("b", "q"), Document("c", "")])
    data = text.encode()
    nll = -sum(float(table_prior.table[a, b]) for a, b in pairwise(data))
    assert rows == [{"item": "a", "nll": pytest.approx(nll), "tokens": 6, "bytes": 6}]
    begun = held_out(TablePrior(begin=True), [Document("a", text)])[0]
    assert (begun["tokens"], begun["bytes"]) == (7, 7)


def test_a_limit_keeps_whole_documents_and_at_least_one(table_prior):
    documents = [Document(str(i), "quiz " * 4) for i in range(5)]
    assert len(held_out(table_prior, documents, max_tokens=60)) == 3
    assert len(held_out(table_prior, documents, max_tokens=1)) == 1
    assert len(held_out(table_prior, documents)) == 5


def test_units():
    assert bits_per_byte(8 * math.log(2), 4) == pytest.approx(2.0)
    assert perplexity(3 * math.log(7), 3) == pytest.approx(7.0)


@pytest.mark.parametrize("first", [1, 3, 5, 100])
def test_first_tokens_are_the_beginning_and_the_bytes_those_they_span(table_prior, first):
    text = "quiz étude"
    (row,) = held_out(table_prior, [Document("a", text)], first_tokens=first + 1)
    data = text.encode()[: first + 1]
    nll = -sum(float(table_prior.table[a, b]) for a, b in pairwise(data))
    assert row["nll"] == pytest.approx(nll)
    assert row["tokens"] == len(data) - 1
