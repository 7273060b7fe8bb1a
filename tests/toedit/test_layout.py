"""Text that fits a terminal."""

import re
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toedit.layout import fill, indented, line_width, plain, table

WORDS = st.lists(st.text("abcdefg0123456789.%", min_size=1, max_size=9), max_size=12).map(" ".join)


@given(st.integers(1, 6).flatmap(lambda n: st.lists(st.lists(WORDS, min_size=n, max_size=n),
                                                    min_size=1, max_size=6)),
       st.sampled_from([40, 80, 120]))  # fmt: skip
def test_a_table_fits_and_keeps_every_word(rows, width):
    header, *body = rows
    text = table(header, body, width)
    assert all(len(line) <= width for line in text.splitlines())
    for row in body:
        for word in " ".join(row).split():
            assert word in text


def test_numbers_are_aligned_and_words_are_wrapped():
    rows = [["a", "1.5", "a rule of many words that is long"], ["bbb", "10.25", "short"]]
    text = table(["name", "value", "what"], rows, 40)
    assert text.splitlines() == [
        "name  value  what",
        "a       1.5  a rule of many words that",
        "             is long",
        "bbb   10.25  short",
    ]


def test_a_no_break_space_holds_together():
    rows = [["metric", "1.0 [0.5,\xa01.5]"]]
    assert "[0.5, 1.5]" in table(["m", "difference"], rows, 40)
    narrow = table(["m", "difference"], [["x" * 28, "1.0 [0.5,\xa01.5]"]], 42)
    assert narrow.splitlines()[-1].strip() == "[0.5, 1.5]"


@pytest.mark.parametrize("width", [40, 80])
def test_rows_that_are_too_wide_become_blocks(width):
    header = ["stage", *(f"column{i}" for i in range(9))]
    text = table(header, [["first", *(f"value{i:04d}" for i in range(9))]], width)
    assert all(len(line) <= width for line in text.splitlines())
    assert all(f"value{i:04d}" in text for i in range(9))


def test_markdown_loses_its_marks_alone():
    page = (
        "# A title\n\nSome **bold** and `code`, a [page](https://a.b/c), a * b and `x_y`.\n\n"
        "| metric * | a \\| b |\n| --- | ---: |\n| one | 1 |\n\n- first point\n- second\n"
    )
    text = plain(page, 60)
    assert text.splitlines()[0] == "A title"
    assert "Some bold and code, a page, a * b and x_y." in text
    assert re.search(r"^metric \*  a \| b$", text, re.MULTILINE)
    assert "- first point\n- second" in text


def test_a_long_word_stays_whole():
    path = "/a/very/long/path/" + "x" * 60
    assert path in fill(f"written to {path} today", 40)


def test_lines_are_wrapped_below_their_own_indentation():
    text = "title\n    config     " + "word " * 9 + "\n    short"
    assert indented(text, 30).splitlines() == [
        "title", "    config     word word word", "        word word word word",
        "        word word", "    short",
    ]  # fmt: skip
    assert indented(text.replace(" \n", "\n"), line_width(StringIO())) == text.replace(" \n", "\n")
