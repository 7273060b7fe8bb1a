"""Texts with control sequences in ``toedit diff``."""

import json
from pathlib import Path
from random import Random

from .case import Case, Command
from .odd import NAMES, PLAIN, TEXTS

SEQUENCES = (
    "\x1b[2J", "\x1b]0;title\x07", "\x1b]8;;http://x\x1b\\", "\x9b2J", "\x07", "\x08", "\x7f",
    "\x1bc", "\r", "\x00", "\x0e", "\u202e", "\u2066", "\x1b[?1049h", "\x85", "\x1bP+q\x1b\\",
    "\x0b",
)  # fmt: skip


def make(random: Random, number: int, prepared: Path) -> Case:
    """A case of the kind: two files that differ, with control sequences in texts, ids or names."""
    sequence = SEQUENCES[number % len(SEQUENCES)]
    words = PLAIN.split()
    rows, edited = [], []
    for n in range(random.randrange(1, 4)):
        old = [*words, random.choice(TEXTS[:12]), sequence]
        random.shuffle(old)
        new = [word if random.random() < 0.8 else sequence + word[::-1] for word in old]
        name = f"d{n}" + (sequence if random.random() < 0.5 else "")
        rows.append({"id": name, "text": " ".join(old)})
        edited.append({"id": name, "text": " ".join(new)})
    if random.random() < 0.2:
        edited[-1]["id"] = f"else{sequence}"
    if random.random() < 0.2:
        edited[-1][f"column{sequence}"] = sequence
    name = random.choice(NAMES) if random.random() < 0.3 else "b"
    options = random.choice(([], ["--color=never"], ["--html=out/page.html"], ["--limit=1"]))
    if random.random() < 0.2:
        options = [*options, f"--text-column={random.choice((sequence, 'none', 'id'))}"]
    files = [
        ("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows)),
        (f"in/{name}.jsonl", "".join(json.dumps(row) + "\n" for row in edited)),
    ]
    command = Command(("diff", "a.jsonl", f"in/{name}.jsonl", *options))
    return Case(f"differences-{number}", f"diff with {sequence!r}", (command,), files)
