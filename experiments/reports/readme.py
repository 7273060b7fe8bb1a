"""Write what README.md shows of our runs: a picture, what the main experiment prints, findings."""

import shlex
from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import Path
from textwrap import wrap
from typing import Any

from experiments.analysis import verdicts
from experiments.analysis.estimate import Estimate
from experiments.analysis.evidence import Evidence
from experiments.config import Config
from experiments.reports import claims, screen
from experiments.reports.format import difference_text
from experiments.reports.verdict_groups import GROUPS, YES
from experiments.store.runs import EXAMPLES, RESULTS, Run
from toedit.corpora.files import read_json
from toedit.errors import UserError

DEMO = ["+exp=cpt_bio"]
"""The experiment of `make demo`."""

FINDINGS = ("synthetic", "synthetic_quarter", "near_certain", "pretrain_toedit_bits",
            "sft_instructions_bits")  # fmt: skip
"""Claims that README.md names, in this order, if they were run."""

BENEFITS = ("pretrain_toedit", "cpt_", "sft_instructions", "sft_code", "sft_twice")
"""How the names of claims begin that models trained on edited text are better."""

WORDS = {verdicts.EQUIVALENT: "ruled out, at the size of the margin",
         verdicts.NO_EFFECT: "ruled out, at the size of the margin"}  # fmt: skip
"""Words for verdicts that would be misread without the page that explains them."""

WIDTH = 120
"""Characters in a line of README.md."""

COLUMNS, LINES = 100, 24
"""Of what the experiment prints, in README.md."""

TOKENS, AROUND = 3, 38
"""Edited tokens in the picture, and characters of context on either side."""


def demo_run(evidence: Evidence, config: Config) -> Run:
    """Return the last run of the main experiment by its own rule; one with more seeds or controls
    only if there is none as `make demo` runs it.

    Args:
        evidence: of our own runs.
        config: of :data:`DEMO`.

    Raises:
        UserError: there is none.
    """
    found: list[tuple[bool, str, Run]] = []
    for run in evidence.distinct:
        if run.experiment == config.name:
            values = read_json(run.folder / RESULTS, dict)
            if _edit(values, config) is not None:
                plain = run.seeds == [config.seed] and not values["controls"]
                found.append((plain, run.finished, run))
    if not found:
        raise UserError(
            f"no run of {' '.join(DEMO)} in {', '.join(map(str, evidence.roots))}: run it, then "
            "python -m experiments.store export results"
        )
    return max(found, key=lambda entry: entry[:2])[2]


def _edit(values: dict[str, Any], config: Config) -> str | None:
    """Return the name of the first edit by the rule of the experiment."""
    rule = config.edit.describe()
    return next((name for name, edit in values["editing"].items() if edit["rule"] == rule), None)


def readme_page(text: str, run: Run, decisions: Sequence[claims.ClaimVerdict]) -> str:
    """Return README.md with its generated blocks written again.

    Args:
        text: of the page.
        run: of `make demo`.
        decisions: all claims.

    Raises:
        UserError: a block is missing.
    """
    command = f"python -m experiments.run {shlex.join(run.command[1:])}"
    demo = f"`{command}` printed, on {run.finished[:10]}:\n\n```\n{printed(run.folder)}\n```"
    for name, block in (("demo", demo), ("findings", "\n".join(findings(decisions)))):
        begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->"
        head, _, rest = text.partition(begin)
        _, mark, tail = rest.partition(end)
        if not mark:
            raise UserError(f"README.md has no block <!-- {name}:begin -->")
        text = f"{head}{begin}{block}\n{mark}{tail}"
    return text


def printed(folder: Path) -> str:
    """Return what the main experiment prints of edits and arms at its end, the first lines."""
    values = read_json(folder / RESULTS, dict)
    rows = [row for row in values["rows"] if row["primary"] or row["figure"]]
    blocks = (
        screen.editing(values["editing"], COLUMNS),
        screen.arms(rows, values["reference"], COLUMNS),
    )
    return "\n".join("\n\n".join(blocks).splitlines()[:LINES])


def findings(decisions: Sequence[claims.ClaimVerdict]) -> list[str]:
    """Format the number of claims by verdict, and the claims of :data:`FINDINGS`, as a list."""
    by_id = {item.claim.id: item for item in decisions}
    named = (by_id[name] for name in FINDINGS if name in by_id)
    chosen = [item for item in named if item.comparison is not None]
    lines = [benefit([item for item in decisions if item.claim.id.startswith(BENEFITS)])]
    lines += [f"**{WORDS.get(item.word, item.word)}**: {claims.sentence(item)}" for item in chosen]
    lines.append(f"of {len(decisions)} claims and questions: {_counts(decisions)}")
    return ["\n".join(wrap(f"- {line}.", WIDTH, subsequent_indent="  ", break_long_words=False,
                           break_on_hyphens=False)) for line in lines]  # fmt: skip


def benefit(decisions: Sequence[claims.ClaimVerdict]) -> str:
    """Say whether any claim that training on edited text makes a better model is supported."""
    found = any(GROUPS[item.verdict.word] is YES for item in decisions)
    begin = "**A benefit" if found else "**No benefit"
    return (
        f"{begin} of training on edited text was found**; of {len(decisions)} comparisons of "
        f"models trained on edited and on source text, {_counts(decisions)}"
    )


def _counts(decisions: Sequence[claims.ClaimVerdict]) -> str:
    count = Counter(item.verdict.word for item in decisions)
    return ", ".join(f"{count[word]} {word}" for word in verdicts.VERDICTS if count[word])


def picture(folder: Path, config: Config) -> str:
    """Draw human text, prior, three edited tokens, arms and verdict of a run as SVG.

    Args:
        folder: report of the run.
        config: of :data:`DEMO`.

    Raises:
        UserError: a file of the report is damaged.
    """
    values = read_json(folder / RESULTS, dict)
    examples = read_json(folder / EXAMPLES, dict)
    name = _edit(values, config)
    if name is None:
        raise UserError(f"{str(folder)!r} has no edit by the rule of {' '.join(DEMO)}")
    row = values["rows"][0]
    shown = {arm: row["arms"][arm] for arm in ("base", values["reference"], "edited")}
    parts = [
        *_steps(values, name),
        *_edited(examples[name][:TOKENS]),
        *_arms(row, shown),
        *_verdict(row, values["reference"]),
    ]
    return _SVG.format(width=_W, height=_H, parts="\n".join(parts))


_W, _H = 860, 420
_SVG = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" \
aria-label="Human text, a prior, edited tokens, models trained on both texts, and the verdict">
<!-- Made by python -m experiments.tables docs; do not edit. -->
<style>
  svg {{ --text: #1c1c1c; --dim: #5a5a5a; --page: #fff; --line: #9a9a9a; }}
  svg {{ --old: #ffdfb5; --new: #cbe3ff; --dot: #0a5ea8; }}
  @media (prefers-color-scheme: dark) {{
    svg {{ --text: #e6e6e6; --dim: #a9a9a9; --page: #1c1c1c; --line: #777; }}
    svg {{ --old: #653f0a; --new: #104a80; --dot: #6db3f2; }}
  }}
  text {{ font: 14px system-ui, sans-serif; fill: var(--text); white-space: pre; }}
  .dim {{ fill: var(--dim); font-size: 12px; }}
  .code {{ font: 12px ui-monospace, Consolas, monospace; }}
  .bold {{ font-weight: 600; }}
  .old {{ text-decoration: line-through; }} .oldbox {{ fill: var(--old); }}
  .box {{ fill: none; stroke: var(--line); }}
  .newbox {{ fill: var(--new); }} .line {{ stroke: var(--line); }}
  .dot {{ fill: var(--dot); }} .page {{ fill: var(--page); }}
</style>
<rect class="page" width="{width}" height="{height}"/>
{parts}
</svg>
"""


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    shown = escape(text.replace("\n", "↵"), quote=False)
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" xml:space="preserve">{shown}</text>'


def _steps(values: dict[str, Any], name: str) -> list[str]:
    (corpus,), edit = values["corpora"].values(), values["editing"][name]
    seed = f" (seed {edit['seed']})" if len(values["seeds"]) > 1 else ""
    boxes = (
        ("Human text", f"{corpus['source']}, {edit['documents']} documents",
         f"{edit['tokens']:,} tokens"),
        ("Prior, one pass", edit["rule"].partition(",")[0] + " may change",
         f"{edit['eligible']:,} tokens, {100 * edit['eligible_share']:.1f} %"),
        ("Edited text", "drawn again, by the prior", f"{edit['changed']:,} tokens changed{seed}"),
    )  # fmt: skip
    parts = []
    for number, (title, *lines) in enumerate(boxes):
        x = 20 + 290 * number
        parts.append(f'<rect class="box" x="{x}" y="15" width="240" height="80" rx="6"/>')
        parts.append(_text(x + 12, 38, title, "bold"))
        parts += [_text(x + 12, 60 + 20 * i, line) for i, line in enumerate(lines)]
        if number:
            parts.append(f'<path class="line" fill="none" d="M{x - 44} 55h36m-8 -6l8 6l-8 6"/>')
    return parts


_CHARACTER = 7.23
"""Width of a character of the class ``code``; text is laid out by it and stretched to fit."""


def _edited(examples: Sequence[dict[str, Any]]) -> list[str]:
    parts = [_text(20, 128, "Edited tokens, the first of the run, and their probabilities", "dim")]
    for number, example in enumerate(examples):
        x, y = 20.0, 154.0 + 26 * number
        pieces = (
            ("…" + example["before"][-AROUND:], "code", ""), (example["old"], "code old", "oldbox"),
            (example["new"] or "∅", "code bold", "newbox"),
            (example["after"][:AROUND] + "…", "code", ""),
        )  # fmt: skip
        for text, kind, box in pieces:
            width = _CHARACTER * len(text)
            if box:
                parts.append(f'<rect class="{box}" x="{x:.1f}" y="{y - 13}" width="{width:.1f}" '
                             'height="18" rx="2"/>')  # fmt: skip
            parts.append(_text(x, y, text, kind).replace(" xml:", f' textLength="{width:.1f}" '
                         'lengthAdjust="spacingAndGlyphs" xml:'))  # fmt: skip
            x += width
        new = example["drawn_probability"]
        drawn = "" if new is None else f" → {new:.2g}"
        parts.append(_text(700, y, f"{example['probability']:.4f}{drawn}", "dim"))
    return parts


def _arms(row: dict[str, Any], arms: dict[str, Any]) -> list[str]:
    """Draw the value of each arm as a point on one axis; lower is better."""
    parts = [_text(20, 252, f"Models: {row['metric']}, lower is better", "dim")]
    values = [arm["value"] for arm in arms.values()]
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    for number, (name, arm) in enumerate(arms.items()):
        y = 278 + 26 * number
        x = 260 + 400 * (arm["value"] - low) / span
        parts += [
            _text(20, y, name if name != "base" else "base, not trained"),
            f'<path class="line" d="M250 {y - 5}H670"/>',
            f'<circle class="dot" cx="{x:.1f}" cy="{y - 5}" r="5"/>',
            _text(700, y, f"{arm['value']:.{row['digits']}f}"),
        ]
    return parts


def _verdict(row: dict[str, Any], reference: str) -> list[str]:
    difference = Estimate.from_json(row["differences"]["edited"])
    result = verdicts.verdict(difference, sign=-1, margin=None)
    numbers = difference_text(difference, row["digits"])
    why = f" ({result.why})" if result.word == verdicts.NOT_TESTABLE else ""
    return [
        _text(20, 372, f"edited minus {reference}: {numbers}"),
        _text(20, 398, f"Edited text teaches more: {result.word}{why}", "bold"),
    ]
