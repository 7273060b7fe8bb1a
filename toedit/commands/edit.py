"""``toedit edit``: a corpus in, the edited corpus, what was changed and a dataset card out."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from toedit.commands import common
from toedit.rules import PRESETS, SAMPLER_NAMES, SOURCE_TOKEN, EditRule, preset

STATISTICS = "edit_stats.json"
CARD = "README.md"
DATA, CHANGES = "data", "changes"
RESULTS = (DATA, CHANGES, CARD, STATISTICS)

RULE_OPTIONS: list[tuple[str, Callable[[str], Any], str]] = [
    ("threshold", float, "edit tokens with at least this probability"),
    ("ceiling", float, "edit tokens with at most this probability"),
    ("sampler", str, f"how a replacement is drawn: {', '.join(SAMPLER_NAMES)}, module:Class"),
    ("k", int, "candidates of top_k and rejection"),
    ("top_p", float, "probability mass of the nucleus"),
    ("temperature", float, "divides the candidates' log-probabilities"),
    ("source_token", str, "the token itself among the candidates"),
    ("delete_below", float, "delete tokens less probable than this"),
    ("proposal", str, "of rejection: uniform, or the prior itself"),
    ("beta", float, "of rejection: softness of acceptance"),
    ("max_rounds", int, "of rejection: proposals before the token stays"),
]


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    common.add_input_options(parser)
    common.add_output_options(parser)
    common.add_prior_options(parser)
    parser.add_argument(
        "--preset", default="paper_text", choices=sorted(PRESETS), help="default: paper_text"
    )
    for name, kind, what in RULE_OPTIONS:
        choices = SOURCE_TOKEN if name == "source_token" else None
        option = "--" + name.replace("_", "-")
        parser.add_argument(
            option, type=kind, choices=choices, help=f"{what} (default: the preset's)"
        )
    parser.add_argument(
        "--strict", action="store_true", default=None, help="compare with > and < (or the preset's)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--generations", type=int, default=1, help="edit the output again, so many times in all"
    )
    parser.add_argument(
        "--generation", type=int, default=0, help="how often the input was edited before"
    )
    parser.add_argument(
        "--autoregressive", action="store_true", help="positions see the edited prefix (slower)"
    )
    parser.add_argument(
        "--license", default="unknown", help="licence of the source, for the dataset card"
    )


def rule_of(arguments: argparse.Namespace) -> EditRule:
    """The preset with the fields the command line sets."""
    names = [*(name for name, _, _ in RULE_OPTIONS), "strict"]
    chosen = {n: getattr(arguments, n) for n in names if getattr(arguments, n) is not None}
    return replace(preset(arguments.preset), **chosen)


def run(arguments: argparse.Namespace) -> int:
    """Edits the inputs; continues an output that was interrupted.

    Returns:
        Exit code: 0, or 1 where some documents failed and were kept unedited.
    """
    from toedit import pipeline
    from toedit.corpora.columns import reshard
    from toedit.corpora.files import write_json
    from toedit.corpora.prepare import SCHEMA, prepare
    from toedit.corpora.units import make_units, manifest_path, write_units
    from toedit.editor import candidates_for
    from toedit.errors import UserError

    rule, prior, reading = (
        rule_of(arguments),
        common.prior_of(arguments),
        common.reading_of(arguments),
    )
    common.check(arguments)
    engine = common.engine_of(arguments)
    if arguments.generations < 1:
        raise UserError(f"--generations {arguments.generations} must be at least 1")
    output: Path = arguments.output
    if arguments.dry_run:
        from toedit.commands.estimate import estimate

        print(estimate(arguments, prior, reading, candidates_for(rule)))
        return 0
    settings = {**common.input_settings(arguments), "rule": asdict(rule)}
    common.open_output(output, arguments.inputs, settings, RESULTS, arguments.force)
    work = output / common.WORK
    schema = manifest_path(work).parent / SCHEMA
    units = prepare(arguments.inputs, work, reading, common.ROWS_PER_UNIT)
    source, totals = manifest_path(work), []
    for generation in range(arguments.generations):
        folder = work / f"generation-{generation}"
        if generation:
            shards = sorted(
                (work / f"generation-{generation - 1}" / pipeline.SHARDS).glob("*.parquet")
            )
            source = manifest_path(folder)
            units = make_units(shards)
            write_units(source, units)
            reading = replace(reading, whole_files=False, invalid_utf8="error")
        number = arguments.generation + generation
        steps = [
            pipeline.ReadUnit(str(source), reading),
            pipeline.Score(prior, candidates_for(rule), engine.threads),
            pipeline.Edit(prior, rule, arguments.seed, number, arguments.autoregressive),
            pipeline.WriteDocuments(str(folder), str(schema), reading, generation > 0),
        ]
        label = "edit" if arguments.generations == 1 else f"edit, generation {number}"
        pipeline.run_steps(steps, units, folder, label, engine)
        totals.append(pipeline.read_statistics(folder))
    size = int(arguments.shard_size * 1e6)
    reshard(sorted((folder / pipeline.SHARDS).glob("*.parquet")), output / DATA, size)
    reshard(sorted((folder / pipeline.CHANGED).glob("*.parquet")), output / CHANGES, size)
    summary = totals[-1].summary()
    result = {"rule": rule.describe(), **summary, "settings": settings}
    if len(totals) > 1:
        result["generations"] = [total.summary() for total in totals]
    from toedit.commands.card import card

    (output / CARD).write_text(card(settings, rule, [t.summary() for t in totals], reading))
    write_json(output / STATISTICS, result)  # last: from here on the output is finished
    shutil.rmtree(work, ignore_errors=True)
    print(_report(rule, summary, output))
    if totals[-1].failed:
        names = ", ".join(totals[-1].failed[:20])
        print(
            f"{len(totals[-1].failed)} documents failed and were kept unedited: {names}",
            file=sys.stderr,
        )
    return 1 if totals[-1].failed else 0


def _report(rule: EditRule, summary: dict[str, Any], output: Path) -> str:
    return (
        f"{rule.describe()}\n{summary['changed']} of {summary['tokens']} tokens changed "
        f"({summary['changed_per_10k']:.1f} per 10,000), {summary['eligible']} eligible "
        f"({100 * summary['eligible_share']:.2f} %), {summary['documents']} documents in "
        f"{output}/{DATA}"
    )
