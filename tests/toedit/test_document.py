"""Windows partition a document; splicing changes the spans it is given and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toedit.document import locate, splice, windows


@given(st.integers(0, 300), st.integers(1, 40), st.data())
def test_windows_score_every_token_once_with_context(n, size, data):
    overlap = data.draw(st.integers(0, size - 1))
    scored = []
    for window in windows(n, size, overlap):
        assert window.stop - window.start <= size
        assert window.start <= window.score_from < window.stop
        assert window.score_from - window.start == min(overlap, window.score_from)
        scored += range(window.score_from, window.stop)
    assert scored == list(range(n))


def test_a_document_that_fits_is_one_window():
    assert [(w.start, w.stop, w.score_from) for w in windows(10, 10, 3)] == [(0, 10, 0)]


def test_overlap_as_large_as_the_window_is_refused():
    with pytest.raises(ValueError, match="less than the window"):
        list(windows(5, 4, 4))


def test_locate_recovers_leading_spaces_and_rejects_what_does_not_match():
    pieces = ["The", " dog", "X", None]
    tokens = locate("The dog", [0, 1], [(0, 3), (4, 7)], pieces)  # offsets without the space
    assert tokens.has_exact_span.all()
    assert tokens.starts.tolist() == [0, 3]
    assert not locate("The dog", [0, 2], [(0, 3), (3, 7)], pieces).has_exact_span[1]
    assert not locate("The dog", [0, 3], [(0, 3), (3, 7)], pieces).has_exact_span[1]


@given(st.text(max_size=40), st.data())
def test_splice_replaces_spans_and_keeps_the_rest(text, data):
    offsets = [(i, i + 1) for i in range(len(text))]
    pieces = {i: c for i, c in enumerate(text)}
    tokens = locate(text, list(range(len(text))), offsets, [pieces[i] for i in range(len(text))])
    assert tokens.has_exact_span.all()
    chosen = (
        data.draw(st.dictionaries(st.integers(0, len(text) - 1), st.text(max_size=3)))
        if text
        else {}
    )
    expected = "".join(chosen.get(i, c) for i, c in enumerate(text))
    assert splice(text, tokens, chosen) == expected


def test_splice_refuses_a_token_without_a_span():
    tokens = locate("ab", [0, 1], [(0, 1), (1, 2)], ["a", None])
    with pytest.raises(ValueError, match="token 1"):
        splice("ab", tokens, {1: "x"})
