"""List what experiments load by name and whether it can be read; downloads nothing.

    python -m experiments.hub.check [EXPERIMENT ...]

Exits with 1 if something is out of reach.
"""

import sys

from experiments.config.compose import compose
from experiments.config.headers import names as all_experiments
from experiments.hub.access import accesses, advice
from experiments.hub.names import Name, names_of
from experiments.hub.page import NEWEST, OWN_TEXT
from toedit.errors import Parser, one_line_errors, require_choice
from toedit.layout import line_width, table

HEADER = ("name", "used by", "revision", "gated", "status")
GATED = {True: "yes", False: "no", None: "?"}


def used_by(chosen: list[str]) -> dict[Name, list[str]]:
    """Experiments by the names that they load."""
    found: dict[Name, list[str]] = {}
    first: dict[tuple[str, str, str | None], Name] = {}  # fields differ, the name is the same
    for experiment in chosen:
        for name in names_of(compose([f"+exp={experiment}", OWN_TEXT])):
            key = first.setdefault((name.kind, name.name, name.revision), name)
            found.setdefault(key, []).append(experiment)
    return found


def check(chosen: list[str]) -> int:
    """Print a row for each name, and what to do about those that cannot be read.

    Returns:
        The exit code: 1 if a name cannot be read.
    """
    users = used_by(chosen)
    found = accesses(list(users))
    rows = [
        (shortened(a.name.name), listed(users[a.name]), (a.name.revision or NEWEST)[:12],
         GATED[a.name.gated], a.status + " (cached)" * bool(a.cached))
        for a in found
    ]  # fmt: skip
    print(table(HEADER, rows, line_width(sys.stdout)))
    refused = [access for access in found if access.refused]
    print(f"{len(found)} names, {len(refused)} out of reach")
    for line in (*refused, *advice(refused)):
        print(f"  {line}")
    return 1 if refused else 0


def shortened(name: str, most: int = 64) -> str:
    """A name without its middle, where it is long."""
    return name if len(name) <= most else f"{name[: most // 2 - 1]}…{name[-most // 2 :]}"


def listed(names: list[str], most: int = 3) -> str:
    """The first names, and how many more there are."""
    more = f" +{len(names) - most}" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def main() -> None:
    """Entry point; user errors end in one line and exit code 2."""
    with one_line_errors():
        parser = Parser(prog="python -m experiments.hub.check", description=__doc__)
        parser.add_argument("experiments", nargs="*", metavar="EXPERIMENT", help="default: all")
        chosen = parser.parse_args().experiments
        for name in chosen:
            require_choice("EXPERIMENT", name, all_experiments())
        sys.exit(check(chosen or all_experiments()))


if __name__ == "__main__":
    main()
