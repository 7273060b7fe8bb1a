"""``toedit edit``: a corpus in, the edited corpus, what was changed and a dataset card out."""

import argparse
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toedit import pipeline
from toedit.commands import common
from toedit.errors import UserError
from toedit.progress import Speed
from toedit.rules import PRESETS, SAMPLER_NAMES, SOURCE_TOKEN, EditRule, preset

if TYPE_CHECKING:
    from toedit.stats.edits import EditStats

STATISTICS = "edit_stats.json"
CARD = "README.md"
DATA, CHANGES = "data", "changes"
RESULTS = (DATA, CHANGES, CARD, STATISTICS)

RULE_OPTIONS: list[tuple[str, Callable[[str], Any], str]] = [
    ("threshold", float, "edit tokens with at least this probability"),
    ("ceiling", float, "edit tokens with at most this probability; alone, without --threshold"),
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
        "--rescore", action="store_true", help="also record the perplexity of the edited text"
    )
    parser.add_argument(
        "--count-tokens", metavar="MODEL", help="also count tokens with this model's tokenizer"
    )
    parser.add_argument(
        "--license", default="unknown", help="licence of the source, for the dataset card"
    )


def rule_of(arguments: argparse.Namespace) -> EditRule:
    """The preset with the fields the command line sets."""
    names = [*(name for name, _, _ in RULE_OPTIONS), "strict"]
    chosen = {n: getattr(arguments, n) for n in names if getattr(arguments, n) is not None}
    if "ceiling" in chosen:
        chosen.setdefault("threshold", None)  # a band needs both
    return replace(preset(arguments.preset), **chosen)


def run(arguments: argparse.Namespace) -> int:
    """Edits the inputs; continues an output that was interrupted.

    Returns:
        Exit code: 0, or 1 where some documents failed and were kept unedited.
    """
    rule = rule_of(arguments)
    common.check(arguments)
    if arguments.generations < 1:
        raise UserError(f"--generations {arguments.generations} must be at least 1")
    if arguments.dry_run:
        from toedit.commands.estimate import estimate
        from toedit.editor import candidates_for

        prior, reading = common.prior_of(arguments), common.reading_of(arguments)
        print(estimate(arguments, prior, reading, candidates_for(rule)))
        return 0
    settings = {**common.input_settings(arguments), "rule": asdict(rule)}
    output: Path = arguments.output
    common.open_output(output, arguments.inputs, settings, RESULTS, arguments.force)
    folder, totals, speed = _edit(arguments, rule)
    failed = totals[-1].failed
    summary = _finish(arguments, rule, settings, folder, totals)
    print(_report(rule, summary, output))
    flops, tokens = sum(t.flops for t in totals), sum(t.tokens for t in totals)
    print(common.speed_line(speed, flops, tokens), end="")
    if failed:
        print(
            f"{len(failed)} documents failed and were kept unedited: {', '.join(failed[:20])}",
            file=sys.stderr,
        )
    return 1 if failed else 0


def _edit(arguments: argparse.Namespace, rule: EditRule) -> "tuple[Path, list[EditStats], Speed]":
    """Runs every generation.

    Returns:
        The folder of the last one, the statistics of each, and how long all took.
    """
    from toedit.corpora.files import parquet_files
    from toedit.corpora.prepare import SCHEMA, prepare
    from toedit.corpora.units import make_units, manifest_path, write_units
    from toedit.editor import candidates_for
    from toedit.stats.edits import EditStats

    prior, reading = common.prior_of(arguments), common.reading_of(arguments)
    engine, work = common.engine_of(arguments), arguments.output / common.WORK
    schema = manifest_path(work).parent / SCHEMA
    units = prepare(arguments.inputs, work, reading, common.ROWS_PER_UNIT)
    source, totals, total = manifest_path(work), [], Speed()
    for generation in range(arguments.generations):
        folder = work / f"generation-{generation}"
        if generation:
            last = work / f"generation-{generation - 1}" / pipeline.SHARDS
            source, units = manifest_path(folder), make_units(parquet_files(last))
            write_units(source, units)
            reading = replace(reading, whole_files=False, invalid_utf8="error")
        number = arguments.generation + generation
        steps = [
            pipeline.ReadUnit(str(source), reading),
            pipeline.Score(prior, candidates_for(rule), engine.worker_threads),
            pipeline.Edit(prior, rule, arguments.seed, number, arguments.autoregressive),
            pipeline.WriteDocuments(str(folder), str(schema), reading, generation > 0),
        ]
        if arguments.rescore or arguments.count_tokens:
            steps.insert(3, pipeline.Measure(prior, arguments.rescore, arguments.count_tokens))
        label = "edit" if arguments.generations == 1 else f"edit, generation {number}"
        speed = pipeline.run_steps(steps, units, folder, label, engine)
        total = Speed(total.tokens + speed.tokens, total.seconds + speed.seconds)
        totals.append(pipeline.read_statistics(folder, EditStats))
    return folder, totals, total


def _finish(
    arguments: argparse.Namespace,
    rule: EditRule,
    settings: dict[str, Any],
    folder: Path,
    totals: "list[EditStats]",
) -> dict[str, Any]:
    """Writes what the user gets, the statistics last: from there on the output is finished."""
    from toedit.commands.card import card
    from toedit.corpora.columns import reshard
    from toedit.corpora.files import parquet_files, write_json

    output, size = arguments.output, int(arguments.shard_size * 1e6)
    reshard(parquet_files(folder / pipeline.SHARDS), output / DATA, size)
    reshard(parquet_files(folder / pipeline.CHANGED), output / CHANGES, size)
    summaries = [total.summary() for total in totals]
    result = {"rule": rule.describe(), **summaries[-1], "settings": settings}
    if len(totals) > 1:
        result["generations"] = summaries
    (output / CARD).write_text(card(settings, rule, summaries, common.reading_of(arguments)))
    write_json(output / STATISTICS, result)
    shutil.rmtree(output / common.WORK, ignore_errors=True)
    return summaries[-1]


def _number(value: float | None) -> str:
    return "beyond measure" if value is None else f"{value:.3f}"


def _report(rule: EditRule, summary: dict[str, Any], output: Path) -> str:
    lines = [
        rule.describe(),
        f"{summary['changed']} of {summary['tokens']} tokens changed "
        f"({summary['changed_per_10k']:.1f} per 10,000), {summary['eligible']} eligible "
        f"({100 * summary['eligible_share']:.2f} %), {summary['deleted']} deleted, "
        f"{summary['documents']} documents in {output}/{DATA}",
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
