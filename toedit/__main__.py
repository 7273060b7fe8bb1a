"""The command line for people who only want edited data: ``toedit edit INPUT... --output DIR``."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from toedit.errors import Parser, UserError, one_line_errors
from toedit.rules import PRESETS, SAMPLER_NAMES, SOURCE_TOKEN, EditRule, preset

SETTINGS, STATISTICS = "settings.json", "edit_stats.json"

RULE_OPTIONS: list[tuple[str, Callable[[str], Any], str]] = [
    ("threshold", float, "edit tokens with at least this probability"),
    ("ceiling", float, "edit tokens with at most this probability"),
    ("sampler", str, "how a replacement is drawn"),
    ("k", int, "candidates of top_k and rejection"),
    ("top_p", float, "probability mass of the nucleus"),
    ("temperature", float, "divides the candidates' log-probabilities"),
    ("source_token", str, "the token itself among the candidates"),
    ("delete_below", float, "delete tokens less probable than this"),
]


def parser() -> Parser:
    """The command line's grammar; importing it needs no torch."""
    top = Parser(prog="toedit", description="Edit text with a language model (ToEdit).")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    edit = commands.add_parser(
        "edit", help="edit a corpus", description="Edits parquet, jsonl(.gz) or txt files."
    )
    edit.add_argument("inputs", nargs="+", metavar="INPUT", help="files or folders")
    edit.add_argument(
        "--output", required=True, type=Path, metavar="DIR", help="folder of the edited shards"
    )
    edit.add_argument(
        "--prior",
        default="embedded",
        help="embedded, a model folder, or a hub id (default: embedded)",
    )
    edit.add_argument(
        "--dtype", default="float32", help="dtype of the prior's weights (default: float32)"
    )
    edit.add_argument(
        "--preset", default="paper_text", choices=sorted(PRESETS), help="default: paper_text"
    )
    for name, kind, what in RULE_OPTIONS:
        choices = {"sampler": SAMPLER_NAMES, "source_token": SOURCE_TOKEN}.get(name)
        option = "--" + name.replace("_", "-")
        edit.add_argument(
            option, type=kind, choices=choices, help=f"{what} (default: the preset's)"
        )
    edit.add_argument("--seed", type=int, default=0)
    edit.add_argument(
        "--generation",
        type=int,
        default=0,
        help="how often the text was edited before (default: 0)",
    )
    edit.add_argument("--workers", type=int, default=1, help="processes (default: 1)")
    edit.add_argument("--text-column", default="text", metavar="NAME")
    edit.add_argument("--id-column", default="id", metavar="NAME")
    edit.add_argument("--force", action="store_true", help="replace a finished output")
    return top


def rule_of(arguments: argparse.Namespace) -> EditRule:
    """The preset with the fields the command line sets."""
    names = [name for name, _, _ in RULE_OPTIONS]
    chosen = {
        name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None
    }
    return replace(preset(arguments.preset), **chosen)


def _remove_output(output: Path) -> None:
    """Removes what this command wrote, and nothing else that stands in the folder."""
    for name in (".work", "shards"):
        shutil.rmtree(output / name, ignore_errors=True)
    for name in (STATISTICS, SETTINGS):
        (output / name).unlink(missing_ok=True)


def edit_command(arguments: argparse.Namespace) -> int:
    """Edits the inputs; continues an output that was interrupted.

    Returns:
        Exit code: 0, or 1 where some documents failed and were kept unedited.
    """
    from toedit import pipeline
    from toedit.corpora.documents import Reading
    from toedit.corpora.files import write_json
    from toedit.corpora.units import (
        corpus_files,
        make_units,
        manifest_path,
        read_units,
        write_units,
    )
    from toedit.editor import candidates_for
    from toedit.priors import PriorConfig

    rule = rule_of(arguments)
    if arguments.workers < 1:
        raise UserError(f"--workers {arguments.workers} must be at least 1")
    prior = PriorConfig(model=arguments.prior, dtype=arguments.dtype)
    output: Path = arguments.output
    settings = {
        "inputs": [[str(path), path.stat().st_size] for path in corpus_files(arguments.inputs)],
        "text_column": arguments.text_column,
        "id_column": arguments.id_column,
        "generation": arguments.generation,
        "prior": arguments.prior,
        "dtype": arguments.dtype,
        "rule": asdict(rule),
        "seed": arguments.seed,
    }
    manifest = manifest_path(output)
    files = corpus_files(arguments.inputs)
    inside = [path for path in files if output.resolve() in path.resolve().parents]
    if inside:
        raise UserError(f"input {str(inside[0])!r} lies inside the output {str(output)!r}")
    if arguments.force and manifest.exists():
        _remove_output(output)
    if (output / STATISTICS).exists():
        raise UserError(f"{str(output)!r} holds a finished output; --force replaces it")
    if (output / SETTINGS).exists() and json.loads((output / SETTINGS).read_text()) != settings:
        raise UserError(
            f"{str(output)!r} was begun with other settings or inputs; use the same, another "
            "folder, or --force"
        )
    if output.exists() and not (output / SETTINGS).exists() and any(output.iterdir()):
        raise UserError(
            f"{str(output)!r} is not empty and no output of this command; choose another folder"
        )
    write_json(output / SETTINGS, settings)
    if not manifest.exists():
        write_units(manifest, make_units(files, rows_per_unit=64))
    units = read_units(manifest)
    steps = [
        pipeline.ReadUnit(str(manifest), Reading(arguments.text_column, arguments.id_column)),
        pipeline.Score(
            prior,
            candidates_for(rule),
            pipeline.threads_per_worker(arguments.workers),
        ),
        pipeline.Edit(prior, rule, arguments.seed, arguments.generation),
        pipeline.WriteDocuments(str(output)),
    ]
    pipeline.run_steps(steps, units, output, "edit", arguments.workers)
    stats = pipeline.read_statistics(output)
    summary = stats.summary()
    write_json(output / STATISTICS, {"rule": rule.describe(), **summary})
    print(
        f"{rule.describe()}\n{summary['changed']} of {summary['tokens']} tokens changed "
        f"({summary['changed_per_10k']:.1f} per 10,000), {summary['eligible']} eligible "
        f"({100 * summary['eligible_share']:.2f} %), {summary['documents']} documents in "
        f"{output}/{pipeline.SHARDS}"
    )
    if stats.failed:
        print(
            f"{len(stats.failed)} documents failed and were kept unedited: "
            f"{', '.join(stats.failed[:20])}",
            file=sys.stderr,
        )
    return 1 if stats.failed else 0


def main(argv: list[str] | None = None) -> None:
    """Entry point of ``toedit`` and ``python -m toedit``."""
    arguments = parser().parse_args(argv)
    with one_line_errors():
        sys.exit(edit_command(arguments))


if __name__ == "__main__":
    main()
