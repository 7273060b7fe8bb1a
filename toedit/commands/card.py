"""The dataset card of an edited corpus."""

import json
from typing import Any

from toedit.corpora.documents import Reading
from toedit.rules import EditRule


def card(
    settings: dict[str, Any], rule: EditRule, generations: list[dict[str, Any]], reading: Reading
) -> str:
    """A README.md for hubs and people: source, prior, rule, seed and what was changed.

    Args:
        settings: the settings of the run.
        rule: the editing rule.
        generations: the statistics of each generation.
        reading: how the source was read.
    """
    priors = ", ".join(settings["prior"] or ["embedded (SmolLM2-135M-Instruct)"])
    sources = "\n".join(f"- {name}" for name, _ in settings["inputs"])
    columns = [
        "generation",
        "documents",
        "tokens",
        "changed/10k",
        "eligible%",
        "deleted/10k",
        "smoothing%",
    ]
    head = f"| {' | '.join(columns)} |"
    rows = [
        f"| {settings['generation'] + i} | {s['documents']} | {s['tokens']} "
        f"| {s['changed_per_10k']:.1f} | {100 * s['eligible_share']:.2f} "
        f"| {s['deleted_per_10k']:.1f} | {100 * s['smoothing']:.2f} |"
        for i, s in enumerate(generations)
    ]
    edited = reading.messages_column or reading.text_column
    table = "\n".join([head, "|" + " ---: |" * 7, *rows])
    return f"""---
license: {json.dumps(settings["license"])}
configs:
- config_name: default
  data_files: data/*.parquet
- config_name: changes
  data_files: changes/*.parquet
tags:
- toedit
---

# Edited text

Made by `toedit edit` (token-level editing, arXiv 2412.14689): tokens to which a prior language
model gives a probability inside the rule's range are drawn again, everything else is as it was.
Every column of the source is kept; only `{edited}` is edited. `changes` lists every changed token
with its probability and the alternatives.

- prior: {priors}, {settings["dtype"]}
- rule: {rule.describe()}
- seed: {settings["seed"]}

Sources:

{sources}

{table}
"""
