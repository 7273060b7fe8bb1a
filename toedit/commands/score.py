"""``toedit score``: the perplexity of every document, and the histogram of token probabilities."""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from toedit import pipeline, terminal
from toedit.commands import common
from toedit.commands.output import opened_output
from toedit.commands.sample import Sample, sampling, size
from toedit.corpora import WORK
from toedit.corpora.columns import reshard
from toedit.corpora.files import parquet_files, write_json
from toedit.corpora.units import manifest_path
from toedit.errors import UserError, printable
from toedit.pipeline import CANDIDATES
from toedit.priors.base import CandidateRange
from toedit.redaction import published
from toedit.stats.scores import ScoreStats

STATISTICS = "score_stats.json"
DATA = "data"
RESULTS = (DATA, CANDIDATES, STATISTICS)


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.usage = "toedit score INPUT... --output DIR [OPTION]..."
    common.add_input_options(parser)
    option = common.add_output_options(parser).add_argument
    what = "also the log-probability of every token (default: no)"
    option("--tokens", action="store_true", help=what)
    what = (
        "also keep the K best tokens, 8 for most rules, for toedit edit --scores; a token takes 11 "
        "bytes, a candidate 7 (default: none)"
    )
    option("--candidates", type=int, metavar="K", help=what)
    what = (
        "keep candidates at tokens with at least this probability (default: 0.5; 0: at every token)"
    )
    option("--above", type=float, metavar="P", help=what)
    what = "and at tokens with at most this probability, for rules with --ceiling (default: none)"
    option("--below", type=float, metavar="P", help=what)
    common.add_prior_options(parser)
    common.add_engine_options(parser)


def candidates_of(arguments: argparse.Namespace) -> CandidateRange:
    """The candidates that are kept, at every token if the bounds leave no gap.

    Raises:
        UserError: there are bounds but no candidates.
    """
    above, below = arguments.above, arguments.below
    if not arguments.candidates:
        if (above, below) != (None, None):
            raise UserError("--above and --below are for --candidates, which is missing")
        return CandidateRange()
    above = 0.5 if above is None else above
    if above == 0:
        return CandidateRange(arguments.candidates, 1.0, 1.0)
    return CandidateRange(arguments.candidates, above, below or None)


def run(arguments: argparse.Namespace) -> int:
    """Score the inputs, or resume an interrupted run.

    Returns:
        Exit code: 0, or 1 if some documents could not be scored.
    """
    candidates = candidates_of(arguments)
    common.check(arguments)
    common.check_columns(arguments)
    reading = common.reading_of(arguments)
    engine = common.engine_of(arguments)
    if arguments.dry_run:
        with sampling():
            sample = Sample(arguments, candidates)
        terminal.show(sample.describe())
        if candidates.k:
            terminal.show(f"about {size(sample.candidate_bytes(candidates))} of candidates")
        return 0
    output: Path = arguments.output
    with opened_output(arguments, RESULTS, {}) as (settings, identity):
        prior, work = common.prior_of(arguments), output / WORK
        units = common.units_of(arguments, work)
        folder = work / "scores"
        steps = [
            pipeline.ReadUnit(str(manifest_path(work)), reading),
            pipeline.ScoreStep(prior, candidates, engine.worker_threads),
            pipeline.WriteDocumentScores(str(folder), arguments.tokens, candidates.k),
        ]
        speed = pipeline.run_steps(steps, units, folder, "score", engine)
        total = pipeline.read_statistics(folder, ScoreStats, len(units))
        skipped = sum(unit.stop - unit.start for unit in units) - total.documents
        most = int(arguments.shard_size * 1e6)
        reshard(parquet_files(folder / pipeline.SHARDS), output / DATA, most)
        summary = total.summary()
        result = {**summary, "skipped": skipped, "settings": published(settings)}
        if candidates.k:
            reshard(parquet_files(folder / CANDIDATES), output / CANDIDATES, most, rows=0)
            kept = sum(path.stat().st_size for path in parquet_files(output / CANDIDATES))
            result |= {"candidates": asdict(candidates), "identity": identity}
        write_json(output / STATISTICS, result)
    bins = " ".join(f"{100 * share:.1f}" for share in summary["histogram"])
    terminal.show(
        f"perplexity {summary['perplexity']:.3f} over {summary['scored']} tokens of "
        f"{summary['documents']} documents\np >= 0.99: {100 * summary['share_above_99']:.2f} %, "
        f"p >= 0.999: {100 * summary['share_above_999']:.2f} %\n"
        f"share of tokens by probability, ten bins, %: {bins}\n"
        f"documents in {common.shown_output(arguments)}/{DATA}"
        if summary["scored"]
        else f"no token of {summary['documents']} documents could be scored"
    )
    if candidates.k:
        each = kept / max(summary["tokens"], 1)
        terminal.show(
            f"candidates: {size(kept)}, {each:.1f} bytes a token, for toedit edit --scores"
        )
    common.show_skipped(skipped)
    common.show_speed(speed, summary["flops"], summary["tokens"])
    if total.failed:
        names = printable(", ".join(total.failed[:20]))
        print(f"{len(total.failed)} documents could not be scored: {names}", file=sys.stderr)
    return 1 if total.failed else 0
