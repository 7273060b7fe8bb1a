"""Read the header comment of an experiment file: what it reproduces, its commands, cost, result."""

from dataclasses import dataclass
from itertools import takewhile

from experiments import CONF

FIELDS = ("Cost", "Result", "Expected", "Deviates", "Paper")


@dataclass(frozen=True)
class Header:
    """The comment at the head of ``conf/exp/NAME.yaml``.

    Attributes:
        title: what the experiment reproduces, in one line.
        commands: command lines with their remarks.
        cost: measured or estimated cost; empty if the file does not state it.
        sections: cost, result, expectation and numbers of the paper, by heading.
    """

    title: str
    commands: tuple[str, ...]
    cost: str
    sections: dict[str, str]


def names() -> list[str]:
    """All experiments, those of the embedded scale first."""
    folder = CONF / "exp"
    paths = sorted(folder.rglob("*.yaml"), key=lambda path: (len(path.parts), path))
    return [str(path.relative_to(folder).with_suffix("")) for path in paths]


def header(name: str) -> Header:
    """Read the header of an experiment's file.

    Raises:
        FileNotFoundError: there is no such experiment.
    """
    text = (CONF / "exp" / f"{name}.yaml").read_text(encoding="utf-8")
    comment = takewhile(lambda line: line.startswith("#"), text.splitlines())
    stripped = (line.lstrip("# ").strip() for line in comment)
    title, *lines = [line for line in stripped if not line.startswith("@package")] or [""]
    sections: dict[str, str] = {}
    commands, current = [], ""
    for line in lines:
        key = line.partition(":")[0]
        if line.startswith("python -m"):
            commands.append(line)
            current = ""
        elif key.partition(",")[0] in FIELDS and ":" in line:
            current = key
            sections[key] = line.partition(":")[2].strip()
        elif current and line:
            sections[current] += f" {line}"
        else:
            current = ""
    return Header(title, tuple(commands), sections.get("Cost", ""), sections)
