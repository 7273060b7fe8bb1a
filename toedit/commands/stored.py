"""What finished outputs recorded, for commands that read them: columns, prior, stored scores."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toedit.commands.common import READING, complete_reading
from toedit.commands.settings import INPUT, OF_HUB
from toedit.corpora.files import damaged_as, read_json
from toedit.editor import candidates_for
from toedit.errors import UserError, short
from toedit.identity import differences
from toedit.pipeline import CANDIDATES
from toedit.plugins import is_plugin
from toedit.priors.base import CandidateRange
from toedit.rules import EditRule

SCORED = "score_stats.json"

OF_SCORES: dict[str, Any] = {
    "subset": None, "split": None, "prior": None, "backend": "hf", "revision": None,
    "dtype": "float32", "max_length": 2048, "compile": False, "vllm": None,
}  # fmt: skip
"""Options of text and prior, and their defaults, in place of which those of the scores count."""

DECIDING = {f"--{name.replace('_', '-')}" for name in (*READING, *OF_SCORES)}
"""Entries in identities that scores and an edit of them have in common."""


@dataclass(frozen=True)
class StoredScores:
    """Scores with candidates in an output of ``toedit score``.

    Attributes:
        folder: of the candidates, a row group a unit.
        candidates: what is kept.
        identity: of the scores.
        settings: of the command that made them.
    """

    folder: Path
    candidates: CandidateRange
    identity: dict[str, Any]
    settings: dict[str, Any]

    def require_same(self, settings: dict[str, Any], identity: dict[str, Any]) -> None:
        """Compare inputs, columns and prior with those of an edit; files count by content alone.

        Raises:
            UserError: they differ.
        """
        with damaged_as(self.folder.parent / SCORED):
            before, after = (
                {k: v for k, v in own.items() if k in DECIDING or k.startswith((INPUT, "--prior"))}
                | {f"commit of {i['file']!r}": i["commit"] for i in inputs if i.get("commit")}
                for own, inputs in (
                    (self.identity, self.settings["inputs"]),
                    (identity, settings["inputs"]),
                )
            )
        inputs = [
            [k if v == OF_HUB else v for k, v in known.items() if k.startswith(INPUT)]
            for known in (before, after)
        ]
        changed = differences(before, after, "none")
        if inputs[0] == inputs[1]:
            changed = [change for change in changed if not change.startswith(INPUT)]
        elif not changed:
            changed = ["the order of the inputs"]
        if changed:
            raise UserError(
                f"the scores in {str(self.folder.parent)!r} are of something else "
                f"({'; '.join(short(change, 300) for change in changed[:3])}): go back to that, or "
                "score again"
            )


def stored_for(arguments: argparse.Namespace, rule: EditRule) -> StoredScores:
    """The scores that ``--scores`` names; options of columns and prior become those of the scores.

    Raises:
        UserError: there are none, or they lack candidates that the rule needs.
    """
    folder: Path = arguments.scores
    for name, is_given in [("autoregressive", arguments.autoregressive),
                           ("generations", arguments.generations > 1)]:  # fmt: skip
        if is_given:
            raise UserError(
                f"--{name} scores edited text, which --scores does not hold: leave one out"
            )
    known = recorded(folder, SCORED)
    if known is None:
        raise UserError(f"--scores {str(folder)!r} is no finished output of toedit score")
    need = candidates_for(rule)
    if "candidates" not in known:
        raise UserError(
            f"the scores in {str(folder)!r} were made without candidates: score again with "
            f"{options(need)}"
        )
    with damaged_as(folder / SCORED):
        kept = CandidateRange(**known["candidates"])
        stored = StoredScores(folder / CANDIDATES, kept, dict(known["identity"]), known["settings"])
        if not kept.covers(need):
            raise UserError(
                f"the scores in {str(folder)!r} hold {_described(kept)}, and the rule "
                f"({rule.describe()}) needs {_described(need)}: score again with "
                f"{options(kept.including(need))}"
            )
    complete_reading(arguments, stored.settings)
    for name, default in OF_SCORES.items():
        value: Any = stored.settings.get(name, default)
        kind = list if name in ("prior", "vllm") else str if default is None else type(default)
        names = value if isinstance(value, list) else []
        if (value is not None and not isinstance(value, kind)) or not _are_texts(names):
            raise UserError(f"{str(folder / SCORED)!r} is damaged ({name} is {short(str(value))})")
        if getattr(arguments, name) != default or value == default:
            continue
        if any(map(is_plugin, names)):  # code runs only if a command names it
            raise UserError(f"--scores {str(folder)!r}: give their --prior too: {short(names[0])}")
        setattr(arguments, name, value)
    return stored


def recorded(folder: Path, file: str) -> dict[str, Any] | None:
    """The statistics of a finished output, with its settings; None if it is none."""
    try:
        known = read_json(folder / file, dict)
    except (FileNotFoundError, NotADirectoryError, UserError):
        return None
    return known if isinstance(known.get("settings"), dict) else None


def _are_texts(values: list[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def _described(candidates: CandidateRange) -> str:
    bounds = [(">=", candidates.above), ("<=", candidates.below)]
    where = " or ".join(f"p {sign} {bound:g}" for sign, bound in bounds if bound is not None)
    everywhere = candidates.covers(CandidateRange(candidates.k, 1e-9, 1.0))
    return f"the {candidates.k} best at tokens with {'any p' if everywhere else where}"


def options(candidates: CandidateRange) -> str:
    """The options of ``toedit score`` that keep candidates."""
    above, below = candidates.above, candidates.below
    if candidates.covers(CandidateRange(candidates.k, 1e-9, 1.0)):
        above, below = 0.0, None
    bounds = f" --above {1.0 if above is None else above:g}"
    return f"--candidates {candidates.k or 8}{bounds}" + (
        "" if below is None else f" --below {below:g}"
    )
