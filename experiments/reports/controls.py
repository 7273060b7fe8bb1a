"""Test rival explanations of a difference by controls: random edits, label smoothing, no edit."""

import re
from typing import Any

from experiments.analysis.evidence import Evidence, Result
from experiments.config import LABEL_SMOOTHING, NO_EDIT, RANDOM_EDIT
from experiments.store.runs import Run

RIVALS = {
    RANDOM_EDIT: "that any edits would do as much, wherever they fall",
    LABEL_SMOOTHING: "that smoothing the labels of the same tokens would do as much, unedited",
}
"""The explanation of a difference that each control tests."""

VERDICTS = ("supported", "not supported", "open")

SIZE = re.compile(r" \((n \d+ of|\d+ documents,)[^()]*\)$")
"""Sample size in the name of a metric."""


def facts(run: Run, evidence: Evidence) -> dict[str, Any]:
    """Changes that controls make to the training text or its labels, as plain values.

    Returns:
        ``edits`` (of each arm with an edited text, tokens ``changed`` and ``deleted`` by seed),
        ``smoothing`` (amount and ``eligible`` tokens by seed) and ``no_edit`` (``documents``
        identical to the source's, and their hash), each where measured; empty without controls.
    """
    trainings = evidence.of_run(run, "train")
    same = evidence.of_run(run, "identical")
    if not same and not {RANDOM_EDIT, LABEL_SMOOTHING}.intersection(t.arm for t in trainings):
        return {}
    edits: dict[str, dict[str, list[Any]]] = {}
    smoothing: dict[str, list[Any]] = {}
    for training in trainings:
        text = _edit_metrics(training, "text")
        if text is not None:
            _append(edits.setdefault(training.arm, {}), text, "changed", "deleted", "tokens")
        smoothed = _edit_metrics(training, "smoothing")
        if smoothed is not None:
            _append(smoothing, smoothed, "smoothing", "eligible")
    result: dict[str, Any] = {"edits": edits}
    if smoothing:
        result["smoothing"] = smoothing
    if same:
        result["no_edit"] = same[0].record["metrics"]
    return result


def _edit_metrics(result: Result, name: str) -> dict[str, Any] | None:
    """Metrics of an input of a result; None where it is no edit stage."""
    label = result.record["inputs"].get(name, "")
    record = result.evidence.record(result.run.root, label) if label.startswith("edit/") else None
    return None if record is None else record["metrics"]


def _append(columns: dict[str, list[Any]], metrics: dict[str, Any], *names: str) -> None:
    for name in names:
        columns.setdefault(name, []).append(metrics[name])


def verdict(row: dict[str, Any], control: str) -> str | None:
    """Judge the explanation that a control tests, from a row of :func:`.arms.results`.

    Returns:
        One of :data:`VERDICTS`; None where edited and source do not differ, so that there is
        nothing to explain. ``supported``: the control differs from the source to the same side,
        and edited not from the control; ``not supported``: edited differs from the control too, to
        that side; ``open`` otherwise. An interval that contains 0 supports nothing by itself.
    """
    side = _side(row["differences"].get("edited"))
    differences = row.get("controls", {}).get(control)
    if not side or differences is None:
        return None
    if _side(differences["edited_minus"]) == side:
        return "not supported"
    return "supported" if _side(differences["minus_source"]) == side else "open"


def _side(difference: dict[str, Any] | None) -> int:
    """Sign of a difference whose interval excludes 0; else 0."""
    if difference is None or difference["low"] is None or difference["high"] is None:
        return 0
    return int(difference["low"] > 0) - int(difference["high"] < 0)


def explained(values: dict[str, Any]) -> str:
    """Describe the controls, their changes and the verdicts in sentences."""
    controls, rows = values["controls"], values["rows"]
    present = [name for name in RIVALS if rows and name in rows[0].get("controls", {})]
    sentences = []
    if RANDOM_EDIT in present:
        sentences.append(
            f"{RANDOM_EDIT} makes as many edits in each document as the rule, by the same "
            "sampler, at random places."
        )
    if controls["edits"]:
        changes = []
        for arm, edits in controls["edits"].items():
            deleted = f" and {span(edits['deleted'])} deleted" if any(edits["deleted"]) else ""
            changes.append(f"{arm} {span(edits['changed'])}{deleted} of {span(edits['tokens'])}")
        sentences.append(f"Tokens changed: {', '.join(changes)}.")
    if LABEL_SMOOTHING in present:
        smoothed = controls["smoothing"]
        amounts = span([f"{100 * amount:.2f}" for amount in smoothed["smoothing"]])
        sentences.append(
            f"{LABEL_SMOOTHING} learns the source itself; the labels of the "
            f"{span(smoothed['eligible'])} tokens that the rule may redraw are smoothed by "
            f"{amounts} %, the probability with which it changes one."
        )
    if NO_EDIT in controls:
        sentences.append(
            f"{NO_EDIT}: a rule that edits nothing left all {controls[NO_EDIT]['documents']} "
            "documents byte-identical, so source is the arm without edits as well."
        )
    if present and any("edited" in row["differences"] for row in rows):
        sentences += _verdicts(rows, present)
    return " ".join(sentences)


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
        groups: dict[str, list[str]] = {name: [] for name in VERDICTS}
        for row in rows:
            if (result := verdict(row, control)) is not None:
                groups[result].append(SIZE.sub("", row["metric"]))
        text = "; ".join(f"{v} by {', '.join(names)}" for v, names in groups.items() if names)
        sentences.append(f"{control}, {RIVALS[control]}: {text}.")
    return sentences


def span(values: list[Any]) -> str:
    """Minimum and maximum of numbers or numeric strings; one value where they are equal."""
    least, most = min(values, key=float), max(values, key=float)
    return str(least) if least == most else f"{least} to {most}"
