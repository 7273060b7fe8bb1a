"""``toedit diff``: what changed between a source and its edited text, in colour or as a page."""

import argparse
import sys
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from toedit.commands import common
from toedit.commands.edit import STATISTICS
from toedit.commands.stored import recorded
from toedit.corpora.files import atomic_path
from toedit.corpora.remote import copied
from toedit.diff_page import page
from toedit.diffs import Difference, differences
from toedit.errors import printable, require_within
from toedit.user_paths import name_option, path_option

RED, GREEN, DIM, PLAIN = "\033[9;31m", "\033[32m", "\033[2m", "\033[0m"
CONTEXT = 60
"""Characters displayed before and after a change in the terminal."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("source", type=name_option, metavar="SOURCE", help="a file or a folder")
    parser.add_argument(
        "edited", type=name_option, metavar="EDITED", help="the output of toedit edit, or a file"
    )
    parser.add_argument("--html", type=path_option, metavar="FILE", help="write one page")
    common.add_reading_options(parser)
    parser.add_argument("--limit", type=int, default=1000, help="documents shown (default: 1000)")
    parser.add_argument("--color", default="auto", choices=("auto", "always", "never"))


def run(arguments: argparse.Namespace) -> int:
    """Print the differences, or write them as a page.

    Raises:
        UserError: the limit is negative, or an edited document has no source document.
    """
    require_within("option", arguments, *common.RANGES["limit"], "limit")
    with copied(arguments.edited) as edited:
        known = recorded(Path(edited), STATISTICS) or {}
        common.complete_reading(arguments, known.get("settings", {}))
        compared = differences(arguments.source, edited, common.reading_of(arguments))
        return _show(islice(compared, arguments.limit), known, arguments)


def _show(
    compared: Iterable[Difference], known: dict[str, Any], arguments: argparse.Namespace
) -> int:
    if arguments.html:
        documents = list(compared)
        with atomic_path(arguments.html) as temporary:
            temporary.write_text(page(documents, known), encoding="utf-8")
        print(f"{len(documents)} documents in {arguments.html}")
        return 0
    color = arguments.color == "always" or (arguments.color == "auto" and sys.stdout.isatty())
    changed = total = 0
    for difference in compared:
        total += 1
        changed += difference.share > 0
        if difference.share:
            print(in_terminal(difference, color))
    print(f"{changed} of {total} documents differ")
    return 0


def in_terminal(difference: Difference, color: bool) -> str:
    """Format a document's changes with a little context, control characters of the text escaped.

    Without colour a change reads ``[-old-]{+new+}``, as in ``git diff --word-diff``.
    """
    removed, added = ((RED, PLAIN), (GREEN, PLAIN)) if color else (("[-", "-]"), ("{+", "+}"))
    dim, plain = (DIM, PLAIN) if color else ("", "")
    whole = "".join(f"{s.old}{s.new}" for s in difference.segments)
    escaped = str if printable(whole) == whole else printable  # a long text has a million segments
    parts = []
    for role, segments in difference.by_turn():
        parts.append(f"{dim}{printable(role)}:{plain} " if role else "")
        for number, segment in enumerate(segments):
            if segment.changed:
                old, new = escaped(segment.old), escaped(segment.new)
                parts.append(f"{removed[0]}{old}{removed[1]}" if old else "")
                parts.append(f"{added[0]}{new}{added[1]}" if new else "")
            elif len(segment.new) <= 2 * CONTEXT:
                parts.append(escaped(segment.new))
            else:
                head = escaped(segment.new[:CONTEXT]) if number or role else ""
                last = number == len(segments) - 1
                lines = len(segment.new) - len(segment.new.rstrip("\n"))
                end = "\n" * max(lines, 1) if role else ""  # the next turn begins on a line
                tail = end if last else escaped(segment.new[-CONTEXT:])
                parts.append(f"{head}{dim} … {plain}{tail}")
    how = "" if difference.recorded else ", found by comparing words"
    title = (
        f"{printable(difference.id)} ({100 * difference.share:.2f} % of characters changed{how})"
    )
    return f"{dim}{title}{plain}\n{''.join(parts)}\n"
