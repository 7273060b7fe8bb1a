"""The HTML page of ``toedit diff``: changed tokens with their context, and histograms of the edit.

One file with its script, style and data, which opens without a server or a network.
"""

import json
from collections.abc import Sequence
from html import escape
from importlib import resources
from typing import Any

from toedit.diffs import Difference
from toedit.pages import content_policy

HISTOGRAMS = {
    "histogram": "all tokens",
    "eligible_histogram": "tokens the rule may change",
    "changed_histogram": "changed tokens",
}
"""Histograms of :class:`toedit.stats.edits.EditStats` that are drawn, and what they count."""

WIDTH, HEIGHT, BAR = 300, 92, 70
"""Of a histogram, and its highest bar, in units of its view box."""


def page(
    documents: Sequence[Difference],
    statistics: dict[str, Any] | None = None,
    title: str = "Changes of an edit",
) -> str:
    """Return a self-contained HTML page.

    Args:
        documents: the compared documents, all of them or the first.
        statistics: what ``edit_stats.json`` holds, or the metrics of an edit stage; drawn above the
            changes. Values that are absent or of another type are left out.
        title: of the page.
    """
    data = json.dumps([d.to_json() for d in documents], ensure_ascii=True, separators=(",", ":"))
    template = resources.files("toedit").joinpath("diff.html").read_text(encoding="utf-8")
    script, style = (
        template.partition(f"<{name}>")[2].partition(f"</{name}>")[0]
        for name in ("script", "style")
    )
    summary = f"<h1>{escape(title)}</h1>{_summary(statistics or {}, documents)}"
    values = {
        "/*POLICY*/": content_policy(script, style),
        "/*TITLE*/": escape(title),
        "/*SUMMARY*/": summary,
        "/*DATA*/": data.replace("<", "\\u003c"),  # only "</" could end a script element early
    }
    head, *rest = _split(template, list(values))
    return head + "".join(value + part for value, part in zip(values.values(), rest, strict=True))


def _split(text: str, marks: list[str]) -> list[str]:
    """Split a text at marks that stand in it in this order, so that no value is searched."""
    parts = []
    for mark in marks:
        part, _, text = text.partition(mark)
        parts.append(part)
    return [*parts, text]


def _summary(statistics: dict[str, Any], compared: Sequence[Difference]) -> str:
    """Return HTML of the counts and histograms of an edit; empty without statistics."""
    tokens, scored, eligible, changed, per_10k, total = (
        _number(statistics.get(name))
        for name in ("tokens", "scored", "eligible", "changed", "changed_per_10k", "documents")
    )
    if tokens is None or scored is None or changed is None:
        return ""
    rule = statistics.get("rule")
    lines = [escape(rule.encode(errors="replace").decode())] if isinstance(rule, str) else []
    counts = f"<b>{changed:,.0f}</b> of {tokens:,.0f} tokens changed"
    counts += f" ({per_10k:,.1f} per 10,000)" if per_10k is not None else ""
    counts += f"; the rule may change {eligible:,.0f}" if eligible is not None else ""
    lines.append(f"{counts}.")
    lines.append(
        "Tokens whose probability under the prior, a language model, lies in the range of the rule "
        "are drawn again. A change shows its candidates and their probabilities on hover or focus."
    )
    if not all(difference.recorded for difference in compared):
        lines.append(
            "Where a document's changes are not recorded one by one, they are found by comparing "
            "words: neighbours then count as one change."
        )
    if total is not None and total > len(compared):
        lines.append(f"Below are the first {len(compared):,} of {total:,.0f} documents.")
    charts = "".join(
        _histogram(name, bins)
        for key, name in HISTOGRAMS.items()
        if (bins := _counts(statistics.get(key), scored))
    )
    if charts:
        charts = (
            f'<details open><summary>Histograms</summary><div class="charts">{charts}</div>'
            "</details>"
        )
    return "".join(f"<p>{line}</p>" for line in lines) + charts


def _number(value: Any) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool)
    return value if known and 0 <= value < 1e15 else None


def _counts(values: Any, scored: float) -> list[float]:
    """Return the tokens in each bin, of counts or of shares of the scored tokens; empty unless
    there are any."""
    if not isinstance(values, list):
        return []
    known = [number for value in values if (number := _number(value)) is not None]
    if len(known) != len(values) or not any(known):
        return []
    return [round(v * scored) for v in known] if any(v % 1 for v in known) else known


def _histogram(name: str, bins: list[float]) -> str:
    """Return a histogram over the probability from 0 to 1 as a figure with inline SVG."""
    width, highest = WIDTH / len(bins), max(bins)
    edges = [i / len(bins) for i in range(len(bins) + 1)]
    texts = [
        f"{low:.1f} to {high:.1f}: {count:,.0f}"
        for low, high, count in zip(edges, edges[1:], bins, strict=False)
    ]
    bars = "".join(
        f'<rect x="{i * width + 2:.1f}" y="{BAR + 2 - (size := BAR * count / highest):.1f}" '
        f'width="{width - 4:.1f}" height="{size:.1f}"><title>{text}</title></rect>'
        for i, (count, text) in enumerate(zip(bins, texts, strict=True))
    )
    labels = "".join(
        f'<text x="{x}" y="{HEIGHT - 6}">{label}</text>'
        for x, label in ((8, "0"), (WIDTH / 2, "0.5"), (WIDTH - 8, "1"))
    )
    label = escape(f"{name} by probability: {'; '.join(texts)}")
    return (
        f"<figure><figcaption>{name} by probability, {sum(bins):,.0f} in all</figcaption>"
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
        f'<path d="M0 {BAR + 2.5}H{WIDTH}"/>{bars}{labels}</svg></figure>'
    )
