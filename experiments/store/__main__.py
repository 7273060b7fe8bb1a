"""Looks after a store: ``python -m experiments.store ls|gc|verify|export``."""

import sys

from experiments.store import VERSION, Store
from experiments.store.export import export
from experiments.store.jobs import jobs
from experiments.store.maintenance import collect, damage, garbage, needed, size_of, survey
from toedit.errors import Parser, UserError, one_line_errors, printable
from toedit.layout import line_width, table
from toedit.user_paths import path_option

NAMED = 3
"""Reports and stages that a line names; of more it says how many."""


def parser() -> Parser:
    """The command line's grammar."""
    top = Parser(prog="python -m experiments.store", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True, metavar="ls|gc|verify|export")
    ls = commands.add_parser("ls", help="every result: state, size, when, and what needs it")
    gc = commands.add_parser(
        "gc", help="what nothing needs; shown only, unless --delete is given",
        description="Keeps whatever a report lists, an evaluation reads or a job declared.",
    )  # fmt: skip
    gc.add_argument("--delete", action="store_true", help="remove it")
    gc.add_argument(
        "--interrupted", action="store_true", help="also what only interrupted jobs need"
    )
    verify = commands.add_parser("verify", help="compare every file with the hash in its record")
    exporting = commands.add_parser(
        "export", help="copy what tables need: records and answers, no text and no weights"
    )
    exporting.add_argument("target", type=path_option, metavar="FOLDER", help="a store to add to")
    exporting.add_argument(
        "--only", action="append", default=[], metavar="EXPERIMENT", help="its runs, not all"
    )
    for command in (ls, gc, verify, exporting):
        command.add_argument("--store", default="store", type=path_option, metavar="DIR")
    return top


def human(size: float) -> str:
    """Bytes with a decimal unit."""
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def show(line: str) -> None:
    """Print a line; names in a store may be anybody's."""
    print(printable(line))


def ls(store: Store) -> int:
    """Lists stages and jobs."""
    entries = survey(store)
    keep = needed(entries)
    rows = []
    for entry in entries:
        day = (entry.record or {}).get("finished", "-")[:10]
        why = [*entry.wanted_by, *entry.read_by]
        if len(why) > NAMED:
            why[NAMED - 1 :] = [f"{len(why) - NAMED + 1} more"]
        if entry.problem:
            why = [entry.problem]
        elif not why:
            why = ["tables"] if entry.label in keep else ["nothing (gc would remove it)"]
        row = entry.label, entry.state, human(entry.size), day, ", ".join(why)
        rows.append([printable(cell) for cell in row])
    print(table(("stage", "state", "size", "finished", "needed by"), rows, line_width(sys.stdout)))
    for job in jobs(store.root):
        state = "running" if job.running else "interrupted or failed"
        line = f"job {job.experiment} ({state}, {job.process}, begun {job.begun}): {job.command}"
        show(line)
    show(f"{len(entries)} stages, {human(size_of(store.root))} in {store.root}")
    return 0


def gc(store: Store, delete: bool, interrupted: bool) -> int:
    """Shows or removes what nothing needs."""
    found = collect(store, interrupted) if delete else garbage(store, interrupted)
    for item in found:
        show(f"{human(item.bytes):>8}  {item.path.relative_to(store.root)}  ({item.why})")
    total = human(sum(item.bytes for item in found))
    verb = "removed" if delete else "can go; --delete removes it"
    show(f"{len(found)} things, {total}: {verb}" if found else "nothing to remove")
    return 0


def verify(store: Store) -> int:
    """Compares files with their records; 1 where one differs."""
    bad = checked = 0
    for name, problems in damage(store):
        checked += 1
        bad += bool(problems)
        for problem in problems:
            show(f"{name}: {problem}")
    show(f"{checked} results checked, {bad} damaged")
    return int(bad > 0)


def main(argv: list[str] | None = None) -> None:
    """Entry point."""
    arguments = parser().parse_args(argv)
    with one_line_errors():
        if not (arguments.store / VERSION).exists():
            raise UserError(f"no store at {str(arguments.store)!r}; name it with --store DIR")
        store = Store(arguments.store, create=False)
        if arguments.command == "gc":
            sys.exit(gc(store, arguments.delete, arguments.interrupted))
        if arguments.command == "export":
            written = export(store, arguments.target, arguments.only)
            show(f"{len(written)} files written to {arguments.target}")
            return
        sys.exit({"ls": ls, "verify": verify}[arguments.command](store))


if __name__ == "__main__":
    main()
