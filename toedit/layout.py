"""Text that fits a terminal: paragraphs, tables, and Markdown without its marks."""

import re
from collections.abc import Iterator, Sequence
from textwrap import wrap

GAP = "  "
LEAST = 12
"""Characters to which a column of words is shrunk at most."""

_NUMBER = re.compile(r"^[-+−×<>±.,%\d\s()\[\]∞e–—-]*$")
_MARKS = re.compile(r"\*\*|`|(?<!\w)\*(?=\w)|(?<=[\w.])\*(?!\w)|!?\[([^\]\s][^\]]*)\]\([^)]*\)")


def fill(text: str, width: int, first: str = "", then: str | None = None) -> str:
    """Wrap a paragraph at spaces; ``first`` and ``then`` begin its lines."""
    then = first if then is None else then
    lines = wrap(text, width, initial_indent=first, subsequent_indent=then,
                 break_long_words=False, break_on_hyphens=False)  # fmt: skip
    return "\n".join(lines)


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], width: int, indent: str = ""
) -> str:
    """Format a table with aligned columns; cells of words are wrapped.

    Where even that is too wide, each row becomes a block with a line per column. Columns of numbers
    are aligned at their right. A space that must not be broken is a no-break space.
    """
    columns = [*zip(header, *rows, strict=True)]
    numeric = [all(_NUMBER.match(cell) for cell in column[1:]) for column in columns]
    natural = [max(map(len, column)) for column in columns]
    least = [
        min(n, max(LEAST if i else 0, *(_longest_word(cell) for cell in column)))
        for i, (n, column) in enumerate(zip(natural, columns, strict=True))
    ]
    room = width - len(indent) - len(GAP) * (len(columns) - 1)
    if sum(least) > room:
        return "\n".join(_blocks(header, rows, width, indent))
    widths = list(natural)
    while sum(widths) > room:
        at = max(range(len(widths)), key=lambda i: (widths[i] > least[i], widths[i]))
        widths[at] -= 1
    lines = []
    for row in (header, *rows):
        cells = [_wrapped(cell, w) for cell, w in zip(row, widths, strict=True)]
        for number in range(max(map(len, cells))):
            parts = [cell[number] if number < len(cell) else "" for cell in cells]
            padded = (
                part.rjust(w) if is_number else part.ljust(w)
                for part, w, is_number in zip(parts, widths, numeric, strict=True)
            )
            lines.append((indent + GAP.join(padded)).replace("\xa0", " ").rstrip())
    return "\n".join(lines)


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


def _blocks(
    header: Sequence[str], rows: Sequence[Sequence[str]], width: int, indent: str
) -> Iterator[str]:
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
    return [_unmarked(cell.strip().replace("\\|", "|")) for cell in cells]


def _unmarked(text: str) -> str:
    return _MARKS.sub(lambda found: found[1] or "", text)


def _line(line: str, width: int) -> str:
    if line.startswith("#"):
        return fill(_unmarked(line.lstrip("# ")), width)
    start = re.match(r"[ \t]*([-*>] )?", line)
    head = start[0] if start else ""
    return fill(_unmarked(line[len(head) :]), width, head, " " * len(head)) or ""
