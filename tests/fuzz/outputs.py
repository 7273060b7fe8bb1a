"""Outputs that were tampered with, hold other files, or were killed and continued."""

from pathlib import Path
from random import Random

from .case import Case, Command, Copy, Entry, Folder, Link, removed
from .odd import JSON
from .prepared import CORPUS, EDIT
from .tampering import ODD_PATHS, rename_key, replace_value, tamper

NEIGHBOURS: tuple[tuple[str, Entry], ...] = (
    ("out/mine.txt", "mine"), ("out/data", Folder()), ("out/data/mine.parquet", "mine"),
    ("out/.work/mine", "mine"), ("out/.work/generation-9/mine", "mine"), ("out/README.md", "mine"),
    ("out/data/train-00000-of-00009.parquet", b"PAR1"), ("out/edit_stats.json", Folder()),
    ("out/edit_stats.json", '{"settings": {"inputs": []}}'), ("out/.work/settings.json", "{}"),
    ("out/.work/settings.json", '{"identity": {}}'), ("out/.x-1.tmp", Link("../../outside")),
    ("out/data", Link("../../outside")), ("out/changes", Link("nowhere")),
    ("out/.work", Link("../../outside")), ("out/.work/generation-0", Link("../../../outside")),
    ("out/README.md", Link("../../outside/canary.txt")),
    ("out/edit_stats.json", Link("../../outside/canary.txt")), ("out/.work/lock", Folder()),
    ("out/.work/lock", Link("../../../outside/canary.txt")), ("out/.work", "a file"),
    ("out", "a file"), ("out", Link("../outside")),
    ("out/.work/.work", Link("../../../outside/deep")), ("out/.work/settings.json", JSON[-1]),
    ("out/edit_stats.json", "[" * 100_000),
)  # fmt: skip
"""What may lie in the place of an output, or in it."""


def make(random: Random, number: int, prepared: Path) -> Case:
    """A case of the kind."""
    what, turn = number % 4, number // 4
    files: list[tuple[str, Entry]] = [("a.jsonl", CORPUS)]
    again = [
        *EDIT,
        *random.choice(([], [], ["--force"], ["--workers=1"], ["--seed=1"], ["--dry-run"])),
    ]
    commands = [Command(tuple(again), codes=(0, 2))]
    if what == 0:
        killed = [
            Command(EDIT, kill_after=random.uniform(0.02, 1.0))
            for _ in range(random.randrange(1, 4))
        ]
        commands = [*killed, Command((*EDIT, "--force"), codes=(0,))]
        return Case(f"outputs-{number}", "killed and continued", tuple(commands), files)
    if what == 1:
        kind = random.choice(("unfinished", "unfinished", "finished"))
        files += [("out", Copy(prepared / kind))]
        files += [("out", tamper(random)) for _ in range(random.choice((1, 1, 2)))]
        summary = f"tampered {kind}"
        if kind == "finished":
            commands = [Command(("diff", "a.jsonl", "out", "--html=out2/page.html")), *commands]
    elif what == 2:
        files += [("out", Copy(prepared / "unfinished"))]
        units = (*ODD_PATHS, -1, None, 10**30, "a.jsonl")
        places = (
            replace_value(random, "manifest.json", units, "*", "*"),
            replace_value(random, "settings.json", (None, [], {}, 3, "x"), "*"),
            replace_value(random, "settings.json", (None, [], {}, 3, "x"), "hashes", "*"),
            rename_key(random, "settings.json", ODD_PATHS, "hashes"), tamper(random, "[0-9]*"),
            tamper(random, "*.parquet"), tamper(random, "*.json"),
        )  # fmt: skip
        files.append(("out", places[turn % len(places)]))
        summary = f"unfinished, place {turn % len(places)} tampered"
    else:
        name, entry = NEIGHBOURS[turn % len(NEIGHBOURS)]
        kind = random.choice(("unfinished", "finished", ""))
        if kind and name != "out":
            files += [("out", Copy(prepared / kind)), (name, removed)]
        files.append((name, entry))
        summary = f"{kind or 'nothing'} with {name} a {type(entry).__name__}"
        if random.random() < 0.5:
            commands = [Command((*EDIT, "--force")), *commands]
    return Case(f"outputs-{number}", summary, tuple(commands), files)
