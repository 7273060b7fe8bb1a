"""Stores with tampered records, lists of runs, jobs and answers."""

from pathlib import Path
from random import Random

from .case import RUN, STORE, TABLES, Case, Command, Copy, Entry, Folder, Link, removed
from .odd import JSON
from .tampering import ODD_PATHS, rename_key, replace_value, tamper

ODD = (
    *ODD_PATHS,
    None,
    3,
    -1.5,
    True,
    [],
    {},
    [[]],
    {"a": {}},
    10**30,
    "x",
    "evaluate/x-0123456789ab",
    float("nan"),
)
LABELS = (
    *ODD_PATHS, "../outside/x-0123456789ab", "../../outside/deep",
    "evaluate/../../outside-0123456789ab", "corpus/", ".", "locks/registry", "reports/x",
    "{outside}/deep-0123456789ab", "a" * 300, None, 3, [],
)  # fmt: skip
FIELDS = (
    "kind", "name", "fingerprint", "identity", "config", "inputs", "format", "experiment", "arm",
    "seed", "checkpoint", "metrics", "seconds", "finished", "peak_memory_gb", "git_commit",
    "git_dirty", "argv", "packages", "hardware", "tracker_run", "files",
)  # fmt: skip
RUN_FIELDS = ("format", "experiment", "plan", "note", "command", "git_commit", "finished", "stages")
JOB_FIELDS = ("experiment", "process", "begun", "command", "stages")

PLACES: tuple[tuple[str, Entry], ...] = (
    ("evaluate/x-0123456789ab", Link("../../../outside")),
    ("evaluate/x-0123456789ab", Link("x-0123456789ab")), ("train", Link("../../outside")),
    ("mine", "a file"), ("mine/deep/file", "mine"), ("train/mine", Folder()),
    ("reports/r", Link("../../../outside")), ("jobs", Link("../../outside")), ("jobs/y.json", "[]"),
    ("jobs/y.json", "{"), ("locks", Link("../../outside")), ("locks/registry", Folder()),
    ("format.json", "[]"), ("format.json", '{"format": "x"}'), ("format.json", '{"format": null}'),
    ("format.json", '{"format": -1}'), ("format.json", Folder()), ("format.json", JSON[36]),
    ("corpus/a-0123456789ab/record.json", "{}"), ("records", "x"),
    ("corpus/a-0123456789ab/record.json", "[" * 100_000), ("rows", "x"),
    ("corpus/a-0123456789ab/record.json", Folder()), ("corpus/a-0123456789ab", "a file"),
    ("reports", "a file"), ("sweeps", Link("../../outside")), ("attempts", "x"),
    ("wandb", Link("../../outside")), ("edit/..-0123456789ab/x", "x"),
    ("edit/\x1b[2J-0123456789ab/x", "x"), ("edit/a b\n-0123456789ab/x", "x"),
    ("edit/" + "n" * 230 + "-0123456789ab/x", "x"),
    ("edit/.work-0123456789ab/.work/x", Link("../../../../../outside")),
)  # fmt: skip
"""What may lie in a store."""

COMMANDS = (
    Command(("ls", "--store=store"), STORE), Command(("gc", "--store=store"), STORE),
    Command(("gc", "--delete", "--store=store"), STORE),
    Command(("gc", "--delete", "--interrupted", "--store=store"), STORE),
    Command(("verify", "--store=store"), STORE, codes=(0, 1, 2)),
    Command(("export", "out", "--store=store"), STORE),
    Command(("--store=store", "--out=out", "--table=3", "--no-figures"), TABLES),
    Command(("observations", "--store=store", "--out=out"), TABLES),
    Command(("trace", "3.biomedicine", "--store=store", "--out=out"), TABLES),
    Command(("report", "--store=store", "--out=out", "--tracker=none"), TABLES),
    Command(("+exp=cpt_bio", "dry_run=true", "store=store", "tracker=none"), RUN),
)  # fmt: skip


def make(random: Random, number: int, prepared: Path) -> Case:
    """A case of the kind."""
    what, turn = number % 8, number // 8
    packed = what < 6 and random.random() < 0.3
    files: list[tuple[str, Entry]] = [
        ("store", Copy(prepared / ("results" if packed else "store")))
    ]
    if packed or what == 0:
        files += [("store", tamper(random)) for _ in range(random.choice((1, 1, 2)))]
        summary = f"tampered {'packed store' if packed else 'store'}"
    elif what == 1:
        field = FIELDS[turn % len(FIELDS)]
        files.append(("store", replace_value(random, "record.json", ODD, field)))
        summary = f"record.json: {field}"
    elif what == 2:
        group = ("identity", "config", "inputs", "metrics", "files")[turn % 5]
        pattern = "train*/record.json" if group == "inputs" else "evaluate*/record.json"
        deeper = ("*",) if turn % 2 and group in ("metrics", "files") else ()
        change = replace_value(random, "record.json", ODD, group, "*", *deeper)
        files.append(("store/evaluate", change))
        summary = f"record.json: {pattern} {group}"
    elif what == 3:
        field = (*RUN_FIELDS, *("stages",) * 8)[turn % 16]
        deeper = (
            ("*", random.choice(("label", "kind", "name", "arm", "seed", "checkpoint")))
            if turn % 16 > 7
            else ()
        )
        files.append(
            ("store", replace_value(random, "run.json", LABELS if deeper else ODD, field, *deeper))
        )
        summary = f"run.json: {field} {deeper}"
    elif what == 4:
        deeper = ("*",) if turn % 2 else ()
        field = "stages" if deeper else JOB_FIELDS[turn // 2 % len(JOB_FIELDS)]
        files.append(
            (
                "store/jobs",
                replace_value(random, "job.json", LABELS if deeper else ODD, field, *deeper),
            )
        )
        summary = f"job: {field}"
    elif what == 5:
        group = ("files", "inputs", "metrics")[turn % 3]
        names = tuple(name for name in LABELS if isinstance(name, str))
        files.append(("store/evaluate", rename_key(random, "record.json", names, group)))
        summary = f"key of {group}"
    elif what == 6:
        name, entry = PLACES[turn % len(PLACES)]
        files += [(f"store/{name}", removed), (f"store/{name}", entry)]
        summary = f"{name!r} a {type(entry).__name__} {str(entry)[:30]!r}"
    else:
        files.append(("store", tamper(random, "*.parquet")))
        summary = "tampered answers"
    commands = [COMMANDS[(number // 8 + number) % len(COMMANDS)], *random.sample(COMMANDS, 3)]
    return Case(f"stores-{number}", summary, tuple(commands), files, ("store", "out"))
