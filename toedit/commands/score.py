"""``toedit score``: the perplexity of every document, and the histogram of token probabilities."""

import argparse
import sys
from pathlib import Path

from toedit import pipeline
from toedit.commands import common
from toedit.commands.output import opened_output
from toedit.corpora import WORK
from toedit.corpora.columns import reshard
from toedit.corpora.files import parquet_files, write_json
from toedit.corpora.units import manifest_path
from toedit.errors import printable
from toedit.priors.base import CandidateRange
from toedit.redaction import published
from toedit.stats.scores import ScoreStats

STATISTICS = "score_stats.json"
DATA = "data"
RESULTS = (DATA, STATISTICS)


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    common.add_input_options(parser)
    common.add_output_options(parser)
    common.add_prior_options(parser)
    parser.add_argument(
        "--tokens", action="store_true", help="also the log-probability of every token"
    )


def run(arguments: argparse.Namespace) -> int:
    """Score the inputs, or resume an interrupted run.

    Returns:
        Exit code: 0, or 1 if some documents could not be scored.
    """
    common.check(arguments)
    common.check_columns(arguments)
    reading = common.reading_of(arguments)
    engine = common.engine_of(arguments)
    if arguments.dry_run:
        print(common.estimate(arguments, CandidateRange()))
        return 0
    output: Path = arguments.output
    with opened_output(arguments, RESULTS, {}) as settings:
        prior, work = common.prior_of(arguments), output / WORK
        units = common.units_of(arguments, work)
        folder = work / "scores"
        steps = [
            pipeline.ReadUnit(str(manifest_path(work)), reading),
            pipeline.ScoreStep(prior, CandidateRange(), engine.worker_threads),
            pipeline.WriteDocumentScores(str(folder), arguments.tokens),
        ]
        speed = pipeline.run_steps(steps, units, folder, "score", engine)
        total = pipeline.read_statistics(folder, ScoreStats, len(units))
        skipped = sum(unit.stop - unit.start for unit in units) - total.documents
        size = int(arguments.shard_size * 1e6)
        reshard(parquet_files(folder / pipeline.SHARDS), output / DATA, size)
        summary = total.summary()
        write_json(
            output / STATISTICS, {**summary, "skipped": skipped, "settings": published(settings)}
        )
    bins = " ".join(f"{100 * share:.1f}" for share in summary["histogram"])
    print(
        f"perplexity {summary['perplexity']:.3f} over {summary['scored']} tokens of "
        f"{summary['documents']} documents\np >= 0.99: {100 * summary['share_above_99']:.2f} %, "
        f"p >= 0.999: {100 * summary['share_above_999']:.2f} %\n"
        f"share of tokens by probability, ten bins, %: {bins}\n"
        f"documents in {common.shown_output(arguments)}/{DATA}"
        if summary["scored"]
        else f"no token of {summary['documents']} documents could be scored"
    )
    print(common.skipped_line(skipped), end="")
    print(common.speed_line(speed, summary["flops"], summary["tokens"]), end="")
    if total.failed:
        names = printable(", ".join(total.failed[:20]))
        print(f"{len(total.failed)} documents could not be scored: {names}", file=sys.stderr)
    return 1 if total.failed else 0
