"""Runs of experiments: which results in a store belong together, and as what.

``reports/<experiment>-<id>/run.json`` lists the stages of a run with the arm, seed and checkpoint
of each and the folder of its result; tables and pages start from there. A result itself knows only
who computed it first.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from experiments import provenance
from experiments.config import Config
from experiments.stage import Stage
from experiments.store import Store
from experiments.store.records import are_labels, is_label, read_record
from toedit.corpora.files import parse_json, read_json
from toedit.errors import UserError, short

RUN, RESULTS, EXAMPLES = "run.json", "results.json", "examples.json"
FORMAT = 2
"""Version of the file; 1, whose stages had names alone, is read too, others are refused."""

NAME_1 = re.compile(r"(.*?)(?:-seed(\d+))?(?:-after(\d+))?")
"""Arm, seed and checkpoint in a name of format 1."""


@dataclass(frozen=True)
class StageEntry:
    """A stage of a run.

    Attributes:
        kind: of the stage.
        name: of the stage.
        arm: of the experiment, whatever the seed; None for what serves all arms.
        seed: of the run; None where no seed changes the result.
        checkpoint: tokens of training after which a model was evaluated; None for all.
        label: folder of the result below the store.
    """

    kind: str
    name: str
    arm: str | None
    seed: int | None
    checkpoint: int | None
    label: str


@dataclass(frozen=True)
class Run:
    """A run of an experiment, as a store keeps it.

    Attributes:
        root: the store.
        folder: its report.
        experiment: its name, as ``+exp=`` takes it.
        plan: what its stages and its page come from.
        note: what its numbers can and cannot be compared with.
        command: what was typed.
        finished: when, UTC.
        stages: in the order of the plan.
    """

    root: Path
    folder: Path
    experiment: str
    plan: str
    note: str
    command: list[str]
    finished: str
    stages: tuple[StageEntry, ...]

    def of_kind(self, kind: str) -> list[StageEntry]:
        """Its stages of a kind."""
        return [entry for entry in self.stages if entry.kind == kind]

    @property
    def seeds(self) -> list[int]:
        """The seeds of its arms, in the order of the plan."""
        models = [e for e in self.stages if e.kind in ("train", "evaluate")]
        seeds = (e.seed for e in models or self.of_kind("edit"))
        return list(dict.fromkeys(seed for seed in seeds if seed is not None))


def manifest(config: Config, stages: list[Stage], store: Store) -> dict[str, Any]:
    """What ``run.json`` holds: the experiment, and its stages with the folder of each result."""
    entries = [
        StageEntry(s.kind, s.name, s.arm, s.seed, s.checkpoint, store.label(s)) for s in stages
    ]
    return {
        "format": FORMAT,
        "experiment": config.name,
        "plan": config.plan,
        "note": config.note,
        "command": provenance.command(),
        "command_line": provenance.shell(provenance.command()),
        "git_commit": provenance.environment()["git_commit"],
        "finished": provenance.now(),
        "stages": [asdict(entry) for entry in entries],
    }


def read_run(root: Path, path: Path) -> Run:
    """Reads a ``run.json``.

    Args:
        root: the store.
        path: the file.

    Raises:
        UserError: it is damaged, or of a version that this one does not know.
    """
    try:
        found = parse_json(path.read_text(encoding="utf-8"), dict)
        if found["format"] not in (1, FORMAT):
            format_ = short(str(found["format"]), 20)
            raise UserError(f"is of format {format_}, this version reads 1 to {FORMAT}")
        texts = [found[name] for name in ("experiment", "plan", "note", "finished")]
        words = found["command"]
        if not isinstance(words, list) or not all(isinstance(t, str) for t in (*texts, *words)):
            raise ValueError
        if found["format"] == 1:
            known = Records(root)
            stages = tuple(_of_format_1(known, *own) for own in found["stages"].items())
        else:
            stages = tuple(StageEntry(**entry) for entry in found["stages"])
        if not all(map(_is_valid, stages)):
            raise ValueError
    except UserError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError("is damaged") from error
    experiment, plan, note, finished = texts
    return Run(root, path.parent, experiment, plan, note, words, finished, stages)


def _is_valid(entry: StageEntry) -> bool:
    """Whether the fields of a stage have their types, and its label is one."""
    texts = (entry.kind, entry.name, "" if entry.arm is None else entry.arm)
    numbers = [number for number in (entry.seed, entry.checkpoint) if number is not None]
    return (
        all(isinstance(text, str) for text in texts)
        and all(isinstance(n, int) and abs(n) < 2**63 for n in numbers)
        and is_label(entry.label)
    )


def labels_of(path: Path) -> list[str]:
    """Folders of the results that a ``run.json`` lists, of any format, or a ``results.json``.

    Raises:
        UserError: it is damaged.
    """
    try:
        stages = read_json(path, dict)["stages"]
        if isinstance(stages, dict):
            listed = list(stages if path.name == RESULTS else stages.values())
        else:
            listed = [stage["label"] for stage in stages]
        if not are_labels(listed):
            raise ValueError
        return listed
    except (OSError, ValueError, KeyError, TypeError, UserError) as error:
        raise UserError(f"{str(path)!r} is damaged; delete its folder") from error


def _of_format_1(records: "Records", place: str, label: str) -> StageEntry:
    """A stage of a list that named arm, seed and checkpoint in one word."""
    kind, _, name = place.partition("/")
    named = NAME_1.fullmatch(name)
    assert named is not None  # its first part takes any word
    arm, seed, after = named.groups()
    return StageEntry(kind, name, arm, int(seed) if seed else records.seed(label),
                      int(after) if after else None, label)  # fmt: skip


class Records:
    """Records of a store as they are, each read once; what is damaged is as what is not there."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._read: dict[str, dict[str, Any]] = {}

    def seed(self, label: str) -> int | None:
        """The seed of a result, or the nearest one that it rests on; an edit that draws nothing
        has none of its own."""
        labels = [label]
        for own in labels:  # grows as it is walked
            record = self._record(own)
            config = record.get("config", {})
            drawn = config.get("rule", {}).get("sampler") != "none"
            if "seed" in config and (drawn or config.get("control")):
                return int(config["seed"])
            labels += [read for read in record.get("inputs", {}).values() if read not in labels]
        return None

    def _record(self, label: str) -> dict[str, Any]:
        if label not in self._read:
            try:
                record = read_record(self._root, label) or {}
            except UserError:
                record = {}
            self._read[label] = record if isinstance(record.get("inputs"), dict) else {}
        return self._read[label]


def typed(argv: Sequence[str]) -> str:
    """A command as one types it, without what changes no result."""
    aside = ("store=", "tracker", "force=")
    return provenance.shell([*argv[:1], *(w for w in argv[1:] if not w.startswith(aside))])
