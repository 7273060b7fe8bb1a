"""``toedit edit``: a corpus in, the edited corpus, what was changed and a dataset card out."""

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from toedit import pipeline, terminal
from toedit.commands import common, estimates
from toedit.commands.output import opened_output
from toedit.commands.settings import settings_of
from toedit.commands.stored import StoredScores, stored_for
from toedit.commands.summary import card, listed_json, report, why_unchanged
from toedit.corpora import WORK
from toedit.corpora.column_types import reasons
from toedit.corpora.columns import reshard
from toedit.corpora.files import parquet_files, write_json
from toedit.corpora.prepare import SCHEMA, require_responses
from toedit.corpora.schema import read_schema
from toedit.corpora.units import make_units, manifest_path, write_units
from toedit.editor import candidates_for
from toedit.errors import UserError, printable
from toedit.layout import fill
from toedit.pipeline.progress import Speed
from toedit.priors.loading import load_tokenizer
from toedit.redaction import published
from toedit.rules import PRESETS, SAMPLER_NAMES, SOURCE_TOKEN, EditRule, preset
from toedit.sampling import make_sampler
from toedit.stats.edits import EditStats
from toedit.user_paths import name_option, path_option

STATISTICS = "edit_stats.json"
CARD = "README.md"
DATA, CHANGES = "data", "changes"
RESULTS = (DATA, CHANGES, CARD, STATISTICS)

DEFAULT = "paper_text"
"""The preset of a command that names none."""

RULE_OPTIONS: list[tuple[str, Callable[[str], Any], str, str]] = [
    ("threshold", float, "P", "edit tokens with at least this probability"),
    ("ceiling", float, "P",
     "edit tokens with at most this probability; alone, without --threshold"),
    ("sampler", str, "NAME",
     f"how a replacement is drawn: {', '.join(SAMPLER_NAMES)}, module:Class"),
    ("k", int, "N", "candidates of top_k and rejection"),
    ("top_p", float, "P", "probability mass of the nucleus of top_p"),
    ("temperature", float, "T", "divides the candidates' log-probabilities"),
    ("source_token", str, "", "the token itself among the candidates"),
    ("delete_below", float, "P", "delete tokens less probable than this"),
    ("proposal", str, "NAME", "of rejection: uniform, or the prior itself"),
    ("beta", float, "B", "of rejection: softness of acceptance"),
    ("max_rounds", int, "N", "of rejection: proposals before the token stays"),
]  # fmt: skip
"""Fields of a rule, with the type, name and meaning of their options."""

EXAMPLES = """examples:
  toedit edit corpus.jsonl --output edited
      edit a file with the embedded model and the rule of the paper
  toedit edit corpus/ --output edited --target-changed 2% --dry-run
      say which threshold changes 2 % of the tokens, and how long it takes
  toedit edit OWNER/NAME --output edited --prior OWNER/MODEL --workers 4
      edit a data set of the hub with a model of the hub, in four processes
"""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = fill(str(parser.description), 79)
    parser.usage, parser.epilog = "toedit edit INPUT... --output DIR [OPTION]...", EXAMPLES
    option = common.add_input_options(parser).add_argument
    what = "how often the input was edited before (default: 0)"
    option("--generation", type=int, default=0, metavar="N", help=what)
    option = common.add_output_options(parser).add_argument
    what = "also record the perplexity of the edited text (default: no)"
    option("--rescore", action="store_true", help=what)
    what = "also count tokens with this model's tokenizer (default: none)"
    option("--count-tokens", type=name_option, metavar="MODEL", help=what)
    what = "licence of the source, for the dataset card (default: unknown)"
    option("--license", default="unknown", metavar="NAME", help=what)
    option = common.add_prior_options(parser).add_argument
    what = (
        "output of toedit score --candidates: its columns and prior, and no model is loaded "
        "(default: none)"
    )
    common.completing_files(option("--scores", type=path_option, metavar="DIR", help=what))
    _add_rule_options(parser.add_argument_group("rule", "Which tokens change, and how."))
    common.add_engine_options(parser)


def _add_rule_options(group: argparse._ArgumentGroup) -> None:
    option = group.add_argument
    presets = "; ".join(f"{name}: {rule.describe()}" for name, rule in PRESETS.items())
    what = f"a rule, of which further options change parts (default: {DEFAULT}). {presets}"
    option("--preset", default=DEFAULT, choices=sorted(PRESETS), help=what)
    for name, kind, metavar, what in RULE_OPTIONS:
        more: dict[str, Any] = {"metavar": metavar} if metavar else {"choices": SOURCE_TOKEN}
        flag = "--" + name.replace("_", "-")
        option(flag, type=kind, help=f"{what} (default: the preset's)", **more)
    what = "an argument of a sampler of your own; can be repeated"
    option("--sampler-arg", type=_pair, action="append", metavar="NAME=VALUE", help=what)
    what = (
        "choose the threshold that changes this share of the tokens of a sample, such as 2%% "
        "(default: none)"
    )
    option("--target-changed", type=_share, metavar="SHARE", help=what)
    what = "compare with > and < (default: the preset's)"
    option("--strict", action="store_true", default=None, help=what)
    option("--seed", type=int, default=0, metavar="N", help="seed of the draws (default: 0)")
    what = "edit the output again, so many times in all (default: 1)"
    option("--generations", type=int, default=1, metavar="N", help=what)
    what = "positions see the edited prefix, which is slower (default: no)"
    option("--autoregressive", action="store_true", help=what)


def rule_of(arguments: argparse.Namespace) -> EditRule:
    """The preset, with the fields that the command line sets."""
    names = [*(name for name, *_ in RULE_OPTIONS), "strict"]
    fields = {n: getattr(arguments, n) for n in names if getattr(arguments, n) is not None}
    if arguments.target_changed is not None and {"threshold", "ceiling"} & fields.keys():
        raise UserError("--target-changed chooses --threshold: leave out that and --ceiling")
    if "ceiling" in fields:
        fields.setdefault("threshold", None)  # a band needs both
    return replace(preset(arguments.preset), arguments=dict(arguments.sampler_arg or ()), **fields)


def _pair(text: str) -> tuple[str, Any]:
    """``NAME=VALUE``; what is no JSON value is a text."""
    name, equals, value = text.partition("=")
    if not name.isidentifier() or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, json.loads(value)
    except (ValueError, RecursionError):
        return name, value


def _share(text: str) -> float:
    """A share, ``2%`` or ``0.02``."""
    number, percent = (text[:-1], 100.0) if text.endswith("%") else (text, 1.0)
    with suppress(ValueError):
        if 0 < float(number) / percent <= 1:
            return float(number) / percent
    raise argparse.ArgumentTypeError(f"{text!r} is no share of tokens, such as 2% or 0.02")


def _settings(rule: EditRule) -> dict[str, Any]:
    fields = asdict(rule)
    return fields if rule.arguments else {k: v for k, v in fields.items() if k != "arguments"}


def run(arguments: argparse.Namespace) -> int:
    """Edit the inputs, or resume an interrupted run.

    Returns:
        Exit code: 0, or 1 if some documents failed and were copied unedited.
    """
    rule = rule_of(arguments)
    make_sampler(rule)  # a sampler of one's own that cannot be made is refused here
    stored = stored_for(arguments, rule) if arguments.scores is not None else None
    common.check(arguments)
    common.check_columns(arguments)
    if arguments.dry_run:
        if stored:
            stored.require_same(*settings_of(arguments, _settings(rule), {}))
        terminal.show(estimates.dry_run(arguments, rule, stored))
        return 0

    def search() -> dict[str, Any]:
        return _settings(estimates.search(arguments, rule, stored))

    searching = search if arguments.target_changed is not None else None
    with opened_output(arguments, RESULTS, _settings(rule), searching) as (settings, identity):
        rule = EditRule(**settings["rule"])
        if stored:
            stored.require_same(settings, identity)
        if arguments.count_tokens:
            load_tokenizer(arguments.count_tokens)  # a mistake shows before anything is scored
        folder, totals, rows, speed = _edit_generations(arguments, rule, stored)
        skipped = rows - totals[0].documents
        json_texts = reasons(read_schema(manifest_path(arguments.output / WORK).parent / SCHEMA))
        summary = _write_results(arguments, rule, settings, folder, totals, skipped, json_texts)
    failed = totals[-1].failed
    terminal.show(report(rule, summary, common.shown_output(arguments)))
    if totals[-1].tokens and not totals[-1].changed + totals[-1].deleted:
        terminal.show(why_unchanged(rule, totals[-1]))
    if json_texts:
        terminal.show(listed_json(json_texts))
    common.show_skipped(skipped)
    flops, tokens = sum(t.flops for t in totals), sum(t.tokens for t in totals)
    common.show_speed(speed, flops, tokens)
    if failed:
        names = printable(", ".join(failed[:20]))
        print(f"{len(failed)} documents failed and were kept unedited: {names}", file=sys.stderr)
    return 1 if failed else 0


def _edit_generations(
    arguments: argparse.Namespace, rule: EditRule, stored: StoredScores | None
) -> tuple[Path, list[EditStats], int, Speed]:
    """Edit the input, then the result again, once per generation.

    Returns:
        The folder of the last generation, the statistics of each, the number of records of the
        input, and the speed of all.
    """
    prior, reading = common.prior_of(arguments), common.reading_of(arguments)
    engine, work = common.engine_of(arguments), arguments.output / WORK
    units = common.units_of(arguments, work)
    require_responses(units, reading)
    rows, need = sum(unit.stop - unit.start for unit in units), candidates_for(rule)
    source, totals, total = manifest_path(work), [], Speed()
    schema = source.parent / SCHEMA
    for generation in range(arguments.generations):
        folder = work / f"generation-{generation}"
        if generation:
            last = work / f"generation-{generation - 1}" / pipeline.SHARDS
            source, units = manifest_path(folder), make_units(parquet_files(last))
            write_units(source, units)
            reading = replace(reading, whole_files=False, invalid_utf8="error")
        number = arguments.generation + generation
        score = pipeline.ScoreStep(prior, need, engine.worker_threads)
        steps = [
            pipeline.ReadUnit(str(source), reading),
            pipeline.AttachScores(str(stored.folder), need) if stored else score,
            pipeline.EditStep(prior, rule, arguments.seed, number, arguments.autoregressive),
            pipeline.WriteDocuments(str(folder), str(schema), reading, number),
        ]
        if arguments.rescore or arguments.count_tokens:
            steps.insert(3, pipeline.Measure(prior, arguments.rescore, arguments.count_tokens))
        label = "edit" if arguments.generations == 1 else f"edit, generation {number}"
        speed = pipeline.run_steps(steps, units, folder, label, engine)
        total = Speed(total.tokens + speed.tokens, total.seconds + speed.seconds)
        totals.append(pipeline.read_statistics(folder, EditStats, len(units)))
    return folder, totals, rows, total


def _write_results(
    arguments: argparse.Namespace,
    rule: EditRule,
    settings: dict[str, Any],
    folder: Path,
    totals: list[EditStats],
    skipped: int,
    json_texts: dict[str, str],
) -> dict[str, Any]:
    """Write data, changes and card, then the statistics, which mark the output as finished.

    Returns:
        The statistics of the last generation.
    """
    output, size = arguments.output, int(arguments.shard_size * 1e6)
    settings = published(settings)
    reshard(parquet_files(folder / pipeline.SHARDS), output / DATA, size)
    generations = [folder.with_name(f"generation-{i}") for i in range(len(totals))]
    changed = [path for own in generations for path in parquet_files(own / pipeline.CHANGED)]
    reshard(changed, output / CHANGES, size)
    summaries = [total.summary() for total in totals]
    result = {"rule": rule.describe(), **summaries[-1], "skipped": skipped, "settings": settings}
    if len(totals) > 1:
        result["generations"] = summaries
    (output / CARD).write_text(
        card(settings, rule, summaries, common.reading_of(arguments), json_texts)
    )
    write_json(output / STATISTICS, result)
    return summaries[-1]
