"""What controls say of rival explanations: would other edits, or none, have done as much?"""

import re
from typing import Any

from experiments.analysis.evidence import Evidence
from experiments.analysis.result import Result
from experiments.config import LABEL_SMOOTHING, NO_EDIT, RANDOM_EDIT
from experiments.store.runs import Run

RIVALS = {
    RANDOM_EDIT: "that any edits would do as much, wherever they fall",
    LABEL_SMOOTHING: "that smoothing the labels of the same tokens would do as much, unedited",
}
"""The explanation of a difference that each control tests."""

VERDICTS = ("supported", "not supported", "open")


def facts(run: Run, evidence: Evidence) -> dict[str, Any]:
    """What controls did to the text, as plain values.

    Args:
        run: of an experiment.
        evidence: its records.

    Returns:
        ``edits`` (of each arm with a text of its own, tokens ``changed`` and ``deleted`` by seed),
        ``smoothing`` (amount and ``eligible`` tokens by seed) and ``no_edit`` (``documents`` that
        are the source's, and their hash), as far as there are such; empty without controls.
    """
    trained = evidence.of_run(run, "train")
    same = evidence.of_run(run, "identical")
    if not same and not {RANDOM_EDIT, LABEL_SMOOTHING}.intersection(own.arm for own in trained):
        return {}
    edits: dict[str, dict[str, list[Any]]] = {}
    smoothing: dict[str, list[Any]] = {}
    for own in trained:
        text = _metrics(own, "text", "edit")
        if text is not None:
            _collect(edits.setdefault(own.arm, {}), text, "changed", "deleted", "tokens")
        smoothed = _metrics(own, "smoothing", "edit")
        if smoothed is not None:
            _collect(smoothing, smoothed, "smoothing", "eligible")
    result: dict[str, Any] = {"edits": edits}
    if smoothing:
        result["smoothing"] = smoothing
    if same:
        result["no_edit"] = same[0].record["metrics"]
    return result


def _metrics(own: Result, name: str, kind: str) -> dict[str, Any] | None:
    """Metrics of an input of a result, if it is of that kind."""
    label = own.record["inputs"].get(name, "")
    read = own.evidence.record(own.run.root, label) if label.startswith(f"{kind}/") else None
    return None if read is None else read["metrics"]


def _collect(found: dict[str, list[Any]], metrics: dict[str, Any], *names: str) -> None:
    for name in names:
        found.setdefault(name, []).append(metrics[name])


def verdict(row: dict[str, Any], control: str) -> str | None:
    """What the intervals of a row say of the explanation that a control tests.

    Args:
        row: of :func:`experiments.reports.arms.results`.
        control: which.

    Returns:
        One of :data:`VERDICTS`; None where edited and source are not told apart, so that there is
        nothing to explain. ``supported``: the control differs from the source to the same side,
        and edited not from the control; ``not supported``: edited differs from the control too, to
        that side; ``open`` otherwise. That an interval holds 0 supports nothing by itself.
    """
    side = _side(row["differences"].get("edited"))
    found = row.get("controls", {}).get(control)
    if not side or found is None:
        return None
    if _side(found["edited_minus"]) == side:
        return "not supported"
    return "supported" if _side(found["minus_source"]) == side else "open"


def _side(difference: dict[str, Any] | None) -> int:
    """Sign of a difference whose interval leaves out 0; else 0."""
    if difference is None or difference["low"] is None or difference["high"] is None:
        return 0
    return int(difference["low"] > 0) - int(difference["high"] < 0)


def explained(values: dict[str, Any]) -> str:
    """What the controls are, what they changed, and what the intervals say, in sentences."""
    found, rows = values["controls"], values["rows"]
    present = [name for name in RIVALS if rows and name in rows[0].get("controls", {})]
    sentences = []
    if RANDOM_EDIT in present:
        sentences.append(
            f"{RANDOM_EDIT} makes as many edits in each document as the rule, by the same "
            "sampler, at random places."
        )
    if found["edits"]:
        sentences.append(f"Tokens changed: {_changed(found['edits'])}.")
    if LABEL_SMOOTHING in present:
        smoothed = found["smoothing"]
        amounts = span([f"{100 * amount:.2f}" for amount in smoothed["smoothing"]])
        sentences.append(
            f"{LABEL_SMOOTHING} learns the source itself; the labels of the "
            f"{span(smoothed['eligible'])} tokens that the rule may redraw are smoothed by "
            f"{amounts} %, the probability with which it changes one."
        )
    if NO_EDIT in found:
        sentences.append(
            f"{NO_EDIT}: a rule that edits nothing left all {found[NO_EDIT]['documents']} "
            "documents byte-identical, so source is the arm without edits as well."
        )
    if present and any("edited" in row["differences"] for row in rows):
        sentences += _verdicts(rows, present)
    return " ".join(sentences)


def _changed(edits: dict[str, dict[str, list[int]]]) -> str:
    parts = []
    for arm, found in edits.items():
        deleted = f" and {span(found['deleted'])} deleted" if any(found["deleted"]) else ""
        parts.append(f"{arm} {span(found['changed'])}{deleted} of {span(found['tokens'])}")
    return ", ".join(parts)


def _verdicts(rows: list[dict[str, Any]], present: list[str]) -> list[str]:
    if not any(_side(row["differences"].get("edited")) for row in rows):
        return [
            "No interval of edited − source leaves out 0: there is no difference yet that a "
            "control could explain."
        ]
    sentences = [
        "Where edited − source leaves out 0, a rival explanation is supported if control − source "
        "leaves it out to the same side and edited − control does not; not supported if "
        "edited − control does too; else open. No interval is corrected for the number of rows."
    ]
    for control in present:
        told = [(verdict(row, control), _name(row["metric"])) for row in rows]
        groups = {v: [name for own, name in told if own == v] for v in VERDICTS}
        text = "; ".join(f"{v} by {', '.join(names)}" for v, names in groups.items() if names)
        sentences.append(f"{control}, {RIVALS[control]}: {text}.")
    return sentences


def _name(metric: str) -> str:
    """A metric without its size."""
    return re.sub(r" \((n \d+ of|\d+ documents,)[^()]*\)$", "", metric)


def span(values: list[Any]) -> str:
    """One value where all are equal, else the least and the largest, which are numbers."""
    least, most = min(values, key=float), max(values, key=float)
    return str(least) if least == most else f"{least} to {most}"
