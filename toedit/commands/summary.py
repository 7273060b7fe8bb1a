"""What an edit says of itself: the dataset card, and the lines printed at its end."""

import json
from hashlib import sha256
from typing import Any

from toedit.corpora.records import Reading
from toedit.errors import printable, short
from toedit.rules import EditRule
from toedit.stats.edits import EditStats


def card(
    settings: dict[str, Any],
    rule: EditRule,
    generations: list[dict[str, Any]],
    reading: Reading,
    json_texts: dict[str, str],
) -> str:
    """The dataset card: source, prior, rule, seed, statistics of each generation, and the columns
    that are JSON texts by why they are."""
    priors = ", ".join(settings["prior"] or ["embedded (SmolLM2-135M-Instruct)"])
    sources = "\n".join(
        f"- {i['file']}" + (f" (commit {i['commit']})" if i.get("commit") else "")
        for i in settings["inputs"]
    )
    edited = reading.messages_column or reading.text_column
    rows = "\n".join(
        f"| {settings['generation'] + i} | {s['documents']} | {s['tokens']} "
        f"| {s['changed_per_10k']:.1f} | {100 * s['eligible_share']:.2f} "
        f"| {s['deleted_per_10k']:.1f} | {100 * s['smoothing']:.2f} |"
        for i, s in enumerate(generations)
    )
    # ``datasets`` takes a folder for one that it has read before if names and fields agree.
    content = json.dumps([settings, generations], sort_keys=True, default=str)
    description = f"  description: edited text {sha256(content.encode()).hexdigest()[:16]}"
    texts = f"\n\n{listed_json(json_texts)}; `json.loads` reads one." if json_texts else ""
    return f"""---
license: {json.dumps(settings["license"])}
configs:
- config_name: default
  data_files: data/*.parquet
{description}
- config_name: changes
  data_files: changes/*.parquet
{description}
tags:
- toedit
---

# Edited text

Made by `toedit edit` (token-level editing, arXiv 2412.14689): tokens to which a prior language
model gives a probability inside the rule's range are drawn again, everything else is as it was.
Every column of the source is kept; only `{edited}` is edited. `changes` lists every token that
a generation changed, with its place in the text before, its probability and the alternatives.
Keys that some dictionaries of a column lack are null there.{texts}

- prior: {priors}, {settings["dtype"]}
- rule: {rule.describe()}
- seed: {settings["seed"]}

Sources:

{sources}

| generation | documents | tokens | changed/10k | eligible% | deleted/10k | smoothing% |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: |
{rows}
"""


def listed_json(columns: dict[str, str]) -> str:
    """One line on the columns that are written as JSON text, and why each is."""
    listed = ", ".join(f"{printable(name)} ({why})" for name, why in columns.items())
    return f"written as JSON text: {short(listed, 1000)}"


def why_unchanged(rule: EditRule, total: EditStats) -> str:
    """Why a run changed nothing, and what would change that."""
    if rule.sampler == "none":
        return "nothing changed: this rule draws no replacement (--preset none, --sampler none)"
    if not total.scored:
        return "nothing changed: no token has a probability, as in documents of a single token"
    if total.eligible:
        return (
            f"nothing changed: all {total.eligible} draws gave the token itself (expected changes: "
            f"{total.smoothing:.2g}); raise --temperature, lower --threshold, or take --preset "
            "forced, which changes every eligible token"
        )
    highest, low = total.highest_probability, rule.threshold
    if low is None or highest >= low:
        return (
            f"nothing changed: no token that may change is eligible ({rule.describe()}); context, "
            "special tokens and normalised text never change"
        )
    return (
        f"nothing changed: no token reached the threshold {low:g}, the highest probability is "
        f"{highest:.4g}; lower --threshold (--dry-run shows what each would change)"
    )


def _number(value: float | None) -> str:
    return "beyond measure" if value is None else f"{value:.3f}"


def report(rule: EditRule, summary: dict[str, Any], output: str) -> str:
    """The lines printed at the end of a run."""
    changed = summary["changed_per_10k"]
    lines = [
        rule.describe(),
        f"{summary['changed']} of {summary['tokens']} tokens changed ({changed / 100:.2f} %, "
        f"{changed:.1f} per 10,000), {summary['eligible']} eligible "
        f"({100 * summary['eligible_share']:.2f} %), {summary['deleted']} deleted, "
        f"{summary['documents']} documents in {output}/data",
    ]
    if "rescored" in summary:
        lines.append(
            f"perplexity {_number(summary['perplexity_before'])} before, "
            f"{_number(summary['perplexity_after'])} after; of a document x "
            f"{summary['perplexity_change']:.4f} (geometric mean)"
        )
    if "counted_before" in summary:
        before, after = summary["counted_before"], summary["counted_after"]
        lines.append(f"under the second tokenizer {before} tokens before, {after} after")
    return "\n".join(lines)
