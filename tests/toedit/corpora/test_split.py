"""Copies of a text are found whatever the forms of its characters."""

import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toedit.corpora.split import (
    ORDER,
    connected_groups,
    hashed_runs,
    ngram_index,
    ngrams,
    normalized,
    overlap,
    overlapping,
    shared,
)

ITEM = (
    "Die große Brücke über den Fluß öffnet um 3½ Uhr für die Fähre nach Ærø, "
    "sagt die \u212bngström Company™ in №7 ihres offiziellen Führers"
)
"""An item with letters that have composed, compatibility and folded forms."""

FORMS = {
    "composed": lambda text: unicodedata.normalize("NFC", text),
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
    "compatible": lambda text: unicodedata.normalize("NFKC", text),
    "compatible, decomposed": lambda text: unicodedata.normalize("NFKD", text),
    "upper case": str.upper,
    "folded": str.casefold,
    "upper case, decomposed": lambda text: unicodedata.normalize("NFD", text.upper()),
    "full width": lambda text: "".join(
        chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else "\u3000" if c == " " else c for c in text
    ),
    "ligatures": lambda text: text.replace("ffi", "\ufb03"),
    "no-break spaces": lambda text: text.replace(" ", "\u00a0"),
    "thin spaces and line ends": lambda text: text.replace(" ", "\u2009\n"),
    "invisible in words": lambda text: text.replace("e", "e\u200b").replace("r", "\u00adr"),
    "marks of direction": lambda text: f"\ufeff\u200e{text}\u202c",
    "invisible for spaces": lambda text: text.replace(" ", "\u200b"),
    "invisible for spaces, decomposed": lambda text: unicodedata.normalize(
        "NFD", text.replace(" ", "\u200b")
    ),
    "no trade mark": lambda text: text.replace("™", ""),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_copy_is_found_in_every_form(name):
    copy = FORMS[name](ITEM)
    assert copy != ITEM
    other = "Vor ihr stehen andere Wörter, die niemand fragt, und danach ebenso viele andere"
    texts = [f"{other}. {copy} \u2014 {other}", other]
    assert overlapping(texts, ngram_index([ITEM])) == [True, False]
    assert overlapping([f"{other}. {ITEM}", other], ngram_index([copy])) == [True, False]
    found, counts = overlap(texts, {"items": [("a", ITEM)]})
    assert found == [True, False]
    assert counts["items"] == {"documents": 1, "items": 1, "short": 0}
    assert connected_groups([ITEM, "something else", copy]) == [0, 1, 0]
    short = " ".join(ITEM.split()[:4])  # less than a run: only a text that is equal as a whole
    assert overlapping([FORMS[name](short), f"{short} x"], ngram_index([short])) == [True, False]


@given(st.text(max_size=60))
@settings(max_examples=300)
def test_what_was_found_in_lower_case_is_found(text):
    plain = hashed_runs(text.lower(), ORDER)
    assert len(shared(plain, ngrams(text))) == len(plain)
    assert normalized(normalized(text)) == normalized(text)
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert normalized(unicodedata.normalize(form, text)) == normalized(text)


@given(st.text(st.characters(max_codepoint=127), max_size=60))
@settings(max_examples=50)
def test_plain_text_has_one_form(text):
    assert np.array_equal(ngrams(text), hashed_runs(text.lower(), ORDER))
    assert normalized(text) == text.lower()
