"""Text that fits a terminal: paragraphs, tables, and Markdown without its marks."""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import zip_longest
from shutil import get_terminal_size
from textwrap import wrap
from typing import TextIO

GAP = "  "
NARROWEST = 40
SHORT, NARROW, LEAST = 20, 8, 20
"""Columns of words are shrunk to :data:`LEAST` characters at most, those of up to :data:`SHORT`
characters to :data:`NARROW`."""

_NUMBER = re.compile(r"[-+−×<±(\[\d—–]|$")
_INTERVAL = re.compile(r"(?<=,) (?=[-+−×\d.]+\])")
_MARKS = re.compile(r"\*\*|`|(?<!\w)\*(?=\w)|(?<=[\w.])\*(?!\w)|!?\[([^\]\s][^\]]*)\]\([^)]*\)")


def terminal_width() -> int:
    """Characters of a line: of the terminal, or 80."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            return max(NARROWEST, os.get_terminal_size(stream.fileno()).columns)
    return max(NARROWEST, get_terminal_size((80, 24)).columns)


def line_width(stream: TextIO) -> int:
    """Characters of a line of a listing: of the terminal, or unlimited, for ``grep`` and the like.

    Args:
        stream: where the listing goes.
    """
    return terminal_width() if stream.isatty() else sys.maxsize


def fill(text: str, width: int, first: str = "", then: str | None = None) -> str:
    """Wrap a paragraph at spaces; ``first`` and ``then`` begin its lines."""
    then = first if then is None else then
    lines = wrap(text, width, initial_indent=first, subsequent_indent=then,
                 break_long_words=False, break_on_hyphens=False)  # fmt: skip
    return "\n".join(lines)


def indented(text: str, width: int) -> str:
    """Wrap every line, its continuation indented by as much as the line and by four more."""
    heads = ((line, line[: len(line) - len(line.lstrip())]) for line in text.splitlines())
    return "\n".join(fill(line.lstrip(), width, head, f"{head}    ") for line, head in heads)


Row = Sequence[str]


def table(header: Row, rows: Sequence[Row], width: int, indent: str = "") -> str:
    """Format a table with aligned columns; cells of words are wrapped.

    Where even that is too wide, the first cell of a row stands on a line of its own, and where the
    rest is too wide each cell does. Columns of numbers are aligned at their right. A no-break space
    is never broken.
    """
    for gap in (GAP, " "):
        widths = _widths((header, *rows), width - len(indent), len(gap))
        if widths:
            lines = _lines((header, *rows), widths, indent, gap)
            return "\n".join("\n".join(row) for row in lines)
    inner, rest = indent + GAP, [row[1:] for row in (header, *rows)]
    widths = _widths(rest, width - len(inner), len(GAP)) if len(header) > 2 else None
    if not widths:
        return "\n".join(_blocks(header, rows, width, indent))
    first = [fill(row[0], width, indent, inner) for row in (header, *rows)]
    below = _lines(rest, widths, inner, GAP)
    return "\n".join(line for f, b in zip(first, below, strict=True) for line in (f, *b))


def _widths(rows: Sequence[Row], room: int, gap: int) -> list[int] | None:
    """Widths of columns that fit a line, those of words shrunk; None if they do not fit."""
    columns = [*zip(*rows, strict=True)]
    widths = [max(map(len, column)) for column in columns]
    least = [
        min(w, max(NARROW if w <= SHORT else LEAST, *map(_longest_word, column)))
        for w, column in zip(widths, columns, strict=True)
    ]
    room -= gap * (len(columns) - 1)
    if sum(least) > room:
        return None
    while sum(widths) > room:
        at = max(range(len(widths)), key=lambda i: (widths[i] > least[i], widths[i]))
        widths[at] -= 1
    return widths


def _lines(
    rows: Sequence[Row], widths: Sequence[int], indent: str, gap: str
) -> Iterator[list[str]]:
    """The lines of each row."""
    columns = zip(*rows[1:], strict=True) if len(rows) > 1 else [()] * len(widths)
    right = [bool(i) and all(map(_NUMBER.match, c)) for i, c in enumerate(columns)]
    for row in rows:
        cells = [_wrapped(cell, w) for cell, w in zip(row, widths, strict=True)]
        lines = []
        for parts in zip_longest(*cells, fillvalue=""):
            padded = (
                part.rjust(w) if is_right else part.ljust(w)
                for part, w, is_right in zip(parts, widths, right, strict=True)
            )
            lines.append((indent + gap.join(padded)).replace("\xa0", " ").rstrip())
        yield lines


def _longest_word(cell: str) -> int:
    return max(map(len, re.split("[ \n]", cell)))


def _wrapped(cell: str, width: int) -> list[str]:
    """Lines of a cell, broken at plain spaces only."""
    lines = [""]
    for word in cell.split(" "):
        joined = f"{lines[-1]} {word}" if lines[-1] else word
        if len(joined) <= width or not lines[-1]:
            lines[-1] = joined
        else:
            lines.append(word)
    return lines


def _blocks(header: Row, rows: Sequence[Row], width: int, indent: str) -> Iterator[str]:
    for row in rows:
        yield fill(row[0], width, indent, indent + GAP)
        for name, cell in zip(header[1:], row[1:], strict=True):
            if cell.strip():
                text = f"{name}: {cell}" if name else cell
                yield fill(text.replace("\xa0", " "), width, indent + GAP, indent + 2 * GAP)


def plain(markdown: str, width: int) -> str:
    """Markdown as plain text: headings, paragraphs and lists wrapped, tables by :func:`table`."""
    parts = []
    for block in re.split(r"\n{2,}", markdown.strip()):
        lines = block.splitlines()
        if all(line.startswith("|") for line in lines) and len(lines) > 1:
            cells = [_cells(line) for line in lines]
            parts.append(table(cells[0], cells[2:], width))
        elif lines[0].startswith(("```", "<!--", "![")):
            continue
        else:
            parts.append("\n".join(_line(line, width) for line in lines))
    return "\n\n".join(parts)


def _cells(line: str) -> list[str]:
    cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
    texts = (_unmarked(cell.strip().replace("\\|", "|")) for cell in cells)
    return [_INTERVAL.sub("\xa0", text) for text in texts]


def _unmarked(text: str) -> str:
    return _MARKS.sub(lambda found: found[1] or "", text)


def _line(line: str, width: int) -> str:
    if line.startswith("#"):
        return fill(_unmarked(line.lstrip("# ")), width)
    start = re.match(r"[ \t]*([-*>] )?", line)
    head = start[0] if start else ""
    return fill(_unmarked(line[len(head) :]), width, head, " " * len(head)) or ""
