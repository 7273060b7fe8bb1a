"""What the file of an experiment says of itself: what it reproduces, its commands, cost, result."""

from dataclasses import dataclass
from pathlib import Path

from experiments import CONF

FIELDS = ("Cost", "Result", "Expected", "Paper")


@dataclass(frozen=True)
class Header:
    """The comment at the head of ``conf/exp/NAME.yaml``.

    Attributes:
        name: of the experiment.
        title: what it reproduces, in a line.
        commands: with their remarks.
        cost: what it costs, measured or estimated; empty where the file does not say.
        said: cost, result, expectation and what the paper prints, each under its own heading.
    """

    name: str
    title: str
    commands: tuple[str, ...]
    cost: str
    said: dict[str, str]


def names() -> list[str]:
    """All experiments, those of the embedded scale first."""
    folder = CONF / "exp"
    paths = sorted(folder.rglob("*.yaml"), key=lambda path: (len(path.parts), path))
    return [str(path.relative_to(folder).with_suffix("")) for path in paths]


def header(name: str) -> Header:
    """Reads the head of an experiment's file.

    Raises:
        FileNotFoundError: there is no such experiment.
    """
    lines = _comment(CONF / "exp" / f"{name}.yaml")
    said: dict[str, str] = {}
    commands, current = [], ""
    for line in lines[1:]:
        key = line.partition(":")[0]
        if line.startswith("python -m"):
            commands.append(line)
            current = ""
        elif key.partition(",")[0] in FIELDS and ":" in line:
            current = key
            said[key] = line.partition(":")[2].strip()
        elif current and line:
            said[current] += f" {line}"
        else:
            current = ""
    return Header(name, lines[0] if lines else "", tuple(commands), said.get("Cost", ""), said)


def _comment(path: Path) -> list[str]:
    """Lines of the comment at the head of a file, without its mark."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.lstrip("# ").strip())
    return [line for line in lines if not line.startswith("@package")]
