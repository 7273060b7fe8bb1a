"""Shared by the commands: options and configurations."""

import argparse
import logging
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from toedit import terminal
from toedit.commands.upload import output_address, work_folder
from toedit.corpora import INVALID_UTF8, MISSING_TEXT
from toedit.corpora.conversations import roles_by_name
from toedit.corpora.documents import check_first_records
from toedit.corpora.prepare import is_hub_id, prepare
from toedit.corpora.records import NO_COLUMN, Reading
from toedit.corpora.remote import is_remote
from toedit.corpora.units import Unit, corpus_files
from toedit.devices import is_device
from toedit.engines import ENGINES, Engine
from toedit.errors import LARGEST, SEEDS, UserError, printable, require_within, short
from toedit.pipeline.progress import Speed
from toedit.plugins import is_plugin
from toedit.priors import PriorConfig
from toedit.priors.vllm_settings import from_options
from toedit.redaction import without_credentials
from toedit.rules import EditRule
from toedit.user_paths import name_option, path_option

log = logging.getLogger(__name__)

ENGINE_OPTIONS: list[tuple[str, Any, str]] = [
    ("threads", int, "threads of a worker, for equal bits on any number of workers"),
    ("cpus", int, "processors of a slurm or ray task"),
    ("gpus", int, "accelerators of a slurm or ray task"),
    ("memory_gb", int, "memory of each of its processors, GB"),
    ("time", str, "time limit of a slurm task, hours:minutes:seconds"),
    ("partition", str, "partition of slurm"),
    ("account", str, "account of slurm"),
    ("qos", str, "quality of service of slurm"),
]

RANGES: dict[str, tuple[float, float]] = {
    "shard_size": (1e-6, 1e9),
    "seed": SEEDS,
    "generations": (1, 1000),
    "generation": SEEDS,
    "limit": (0, LARGEST),
    "candidates": (0, 1000),
    "above": (0, 1),
    "below": (0, 1),
}
"""The ranges of options that are fields of no configuration."""

OTHER_NAMES = {"engine.kind": "engine", "prior.kind": "backend", "prior.model": "prior",
               "prior.ensemble": "prior", "engine.options": "sbatch"}  # fmt: skip
FIELD = re.compile(
    r"(?<![\w/.'-])(edit|engine|prior|option)\.("
    + "|".join({f.name for kind in (EditRule, Engine, PriorConfig) for f in fields(kind)}
               - {"overlap"} | {*RANGES})
    + r")\b(=?)"
)  # fmt: skip

ROWS_PER_UNIT = 64
"""Documents in a unit of work, which is what a killed worker has to repeat at most."""


FILE = {"bash": "_shtab_compgen_files", "zsh": "_files", "tcsh": "f"}
"""How shells complete the name of a file (shtab's ``FILE``)."""


def completing_files(action: argparse.Action) -> None:
    """Let shells complete the value of an option as the name of a file."""
    action.complete = FILE  # type: ignore[attr-defined]


def add_input_options(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add options for inputs and for how records become documents; return their group."""
    group = parser.add_argument_group("input")
    option = group.add_argument
    what = "files, folders, hub data sets (OWNER/NAME[@REVISION]), hf://, https://, s3:// addresses"
    completing_files(option("inputs", nargs="+", type=_input, metavar="INPUT", help=what))
    what = "configuration of a hub data set (default: its only one)"
    option("--subset", metavar="NAME", help=what)
    option("--split", metavar="NAME", help="split of a hub data set (default: train)")
    what = "records whose text, prompt or messages are null or missing (default: error)"
    option("--missing-text", choices=MISSING_TEXT, help=what)
    add_reading_options(group)
    return group


def _input(text: str) -> str:
    return text if is_remote(text) else name_option(text)


def _output(text: str) -> str | Path:
    return text if is_remote(text) else path_option(text)


def units_of(arguments: argparse.Namespace, folder: Path) -> list[Unit]:
    """:func:`prepare` the inputs of a command in a folder."""
    chosen = arguments.subset, arguments.split or "train"
    return prepare(arguments.inputs, folder, reading_of(arguments), ROWS_PER_UNIT, *chosen)


def add_reading_options(parser: argparse._ActionsContainer) -> None:
    """Add options for which columns hold the text, and how it is read."""
    option = parser.add_argument
    option("--text-column", metavar="NAME", help="column of the text (default: text)")
    what = "column of the ids (default: id, or else file and row)"
    option("--id-column", metavar="NAME", help=what)
    what = "column of chat messages, of which only assistant turns may change (default: none)"
    option("--messages-column", metavar="NAME", help=what)
    what = (
        "names of roles in the messages besides the usual ones (human and gpt too), as in "
        "assistant=model,user=prompter (default: none)"
    )
    option("--role-names", metavar="ROLE=NAME,...", help=what)
    what = "column of the prompt; --text-column is then the response (default: none)"
    option("--prompt-column", metavar="NAME", help=what)
    what = "text that is no valid UTF-8 (default: error)"
    option("--invalid-utf8", choices=INVALID_UTF8, help=what)
    what = "a document in a txt file (default: line)"
    option("--txt", choices=("line", "file"), help=what)


READING: dict[str, str | None] = {
    "text_column": "text", "id_column": "id", "messages_column": None, "prompt_column": None,
    "role_names": None, "invalid_utf8": "error", "missing_text": "error", "txt": "line",
}  # fmt: skip
"""Options of how records become documents, and their defaults where no output has recorded any."""


def complete_reading(arguments: argparse.Namespace, recorded: Mapping[str, Any] = {}) -> None:
    """Set the options of :data:`READING` that are not given, as recorded or to their defaults."""
    for name, default in READING.items():
        if getattr(arguments, name, default) is None:
            value = recorded.get(name, default)
            setattr(arguments, name, value if isinstance(value, str) else default)


def add_prior_options(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add options for the prior; return their group."""
    group = parser.add_argument_group("prior", "The language model whose probabilities count.")
    option = group.add_argument
    what = (
        "embedded, a model folder, a hub id, or table (a toy, for trying things out); several "
        "average their probabilities (default: embedded)"
    )
    option("--prior", action="append", type=name_option, metavar="MODEL", help=what)
    option("--backend", default="hf", choices=("hf", "vllm"), help="what runs it (default: hf)")
    what = (
        "an argument of vLLM by its own name: gpu_memory_utilization=0.5, quantization=fp8, ...; "
        "can be repeated"
    )
    option("--vllm", action="append", metavar="NAME=VALUE", help=what)
    option("--compile", action="store_true", help="run it through torch.compile (default: no)")
    what = "commit of the first hub model, or MODEL@REVISION (default: the newest)"
    option("--revision", metavar="COMMIT", help=what)
    what = "type of its weights (default: float32)"
    option("--dtype", default="float32", metavar="TYPE", help=what)
    what = "auto, cpu, cuda, ..., with --dry-run also h100, 8xh100, ... (default: auto)"
    option("--device", default="auto", help=what)
    what = "longest forward pass, tokens (default: 2048)"
    option("--max-length", type=int, default=2048, metavar="N", help=what)
    what = "size of a batch, tokens (default: 2048)"
    option("--batch-tokens", type=int, default=2048, metavar="N", help=what)
    return group


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Add options for where the work runs."""
    group = parser.add_argument_group("engine", "Where the work runs.")
    option = group.add_argument
    option("--engine", default="local", choices=ENGINES, help="what runs it (default: local)")
    what = "units of work at a time (default: 1)"
    option("--workers", type=int, default=1, metavar="N", help=what)
    for name, kind, what in ENGINE_OPTIONS:
        flag, default = "--" + name.replace("_", "-"), getattr(Engine(), name)
        shown = "its share of the processors" if name == "threads" else "of the cluster"
        shown, metavar = shown if default is None else default, "N" if kind is int else "TEXT"
        help_text = f"{what} (default: {shown})"
        option(flag, type=kind, default=default, metavar=metavar, help=help_text)
    what = "a further option of sbatch, such as constraint=a100; can be repeated"
    option("--sbatch", action="append", default=[], metavar="NAME[=VALUE]", help=what)


def add_output_options(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add options for the output folder and for what is shown; return their group."""
    group = parser.add_argument_group("output")
    option = group.add_argument
    what = "folder, or s3:// address that finished files are uploaded to (needed)"
    completing_files(option("--output", required=True, type=_output, metavar="DIR", help=what))
    what = "folder for the work on an output at an address (default: one in the cache)"
    completing_files(option("--work", type=path_option, metavar="DIR", help=what))
    what = (
        "discard what this command wrote there, finished or not, and start over; other files stay "
        "(default: no)"
    )
    option("--force", action="store_true", help=what)
    what = "size of output files, MB (default: 256)"
    option("--shard-size", type=float, default=256.0, metavar="MB", help=what)
    what = "only estimate tokens, time, disk and what an edit would change (default: no)"
    option("--dry-run", action="store_true", help=what)
    for flag, level, what in (
        ("--quiet", terminal.QUIET, "show only warnings and errors (default: no)"),
        ("--verbose", terminal.VERBOSE, "show also what libraries print (default: no)"),
    ):
        option(flag, dest="level", action="store_const", const=level, default=terminal.NORMAL,
               help=what)  # fmt: skip
    return group


def engine_of(arguments: argparse.Namespace) -> Engine:
    """Configuration of where the units of work run."""
    values = {name: getattr(arguments, name) for name, _, _ in ENGINE_OPTIONS}
    options = dict(word.partition("=")[::2] for word in arguments.sbatch)
    return Engine(kind=arguments.engine, workers=arguments.workers, options=options, **values)


def reading_of(arguments: argparse.Namespace) -> Reading:
    """Configuration of how records become documents; of a command without inputs, all of them.

    Raises:
        UserError: --role-names is no list of ROLE=NAME.
    """
    names: dict[str, list[str]] = {}
    for pair in filter(None, (arguments.role_names or "").split(",")):
        role, _, name = pair.partition("=")
        if not name:
            raise UserError(f"--role-names {pair!r} is no ROLE=NAME, such as assistant=model")
        names.setdefault(role.strip(), []).append(name.strip())
    return Reading(
        text_column=arguments.text_column,
        id_column=arguments.id_column,
        messages_column=arguments.messages_column,
        prompt_column=arguments.prompt_column,
        invalid_utf8=arguments.invalid_utf8,
        missing_text=getattr(arguments, "missing_text", "keep"),
        role_names=roles_by_name(names),
        whole_files=arguments.txt == "file",
        unpack=False,
    )


def prior_of(arguments: argparse.Namespace) -> PriorConfig:
    """Configuration of the prior."""
    first, *others = arguments.prior or ["embedded"]
    if is_plugin(first):  # module:Class, or module:Class=MODEL
        kind, _, first = first.partition("=")
    elif first == "table":
        kind = "table"
    else:
        kind = arguments.backend
    return PriorConfig(
        kind=kind,
        model=first,
        ensemble=others,
        revision=arguments.revision,
        dtype=arguments.dtype,
        device="auto" if is_device(arguments.device) else arguments.device,
        max_length=arguments.max_length,
        overlap=min(256, arguments.max_length // 4),
        batch_tokens=arguments.batch_tokens,
        compile=arguments.compile,
        vllm=from_options(arguments.vllm or ()),
    )


def show_speed(speed: Speed, flops: int, tokens: int) -> None:
    """Show tokens/s and FLOP/s of the prior, unless this run processed no token."""
    if not speed.tokens or not tokens:
        return
    rate = speed.tokens / max(speed.seconds, 1e-9)
    prior = f", {rate * flops / tokens / 1e9:,.0f} GFLOP/s of the prior" if flops else ""
    terminal.show(f"{speed.tokens} tokens in {speed.seconds:.1f} s: {rate:,.0f} tokens/s{prior}")


def show_skipped(skipped: int) -> None:
    """Show the number of records that were left out, if there are any."""
    if skipped:
        terminal.show(f"{skipped} records skipped (--missing-text skip, --invalid-utf8 skip)")


def check(arguments: argparse.Namespace) -> None:
    """Raise a :class:`UserError` unless every option makes sense; complete those of reading."""
    complete_reading(arguments)
    if not isinstance(arguments.output, Path | str):  # argparse drops the value of --output=--
        raise UserError("--output -- names no folder; write ./-- for one of that name")
    arguments.address = None
    if isinstance(arguments.output, str):
        arguments.address = output_address(arguments.output)
        arguments.output = arguments.work or work_folder(arguments.address)
    elif arguments.work:
        raise UserError("--work goes with an address as --output; a folder holds its work itself")
    for name, (low, high) in RANGES.items():
        if hasattr(arguments, name):
            require_within("option", arguments, low, high, name)
    engine_of(arguments)
    prior_of(arguments)
    if is_device(arguments.device) and not arguments.dry_run:
        raise UserError(f"--device {arguments.device} is for estimates: add --dry-run")


def check_columns(arguments: argparse.Namespace) -> None:
    """Check the first records of local inputs; others are checked when they have been copied.

    Raises:
        UserError: they lack a column of the text, or hold none in it.
    """
    local = [name for name in arguments.inputs if not (is_hub_id(name) or is_remote(name))]
    columns = check_first_records(corpus_files(local), reading_of(arguments)) if local else set()
    name = arguments.id_column
    if columns and name not in (*columns, "id", NO_COLUMN) and len(local) == len(arguments.inputs):
        names = short(", ".join(sorted(columns)), 400)
        log.warning(
            "warning: the first records have no column %r (their columns: %s): ids are file and "
            "row where it is missing", name, names,
        )  # fmt: skip


def shown_output(arguments: argparse.Namespace) -> str:
    """Where the output is, for a line in a terminal."""
    return printable(without_credentials(arguments.address or str(arguments.output)))


def as_options(message: str) -> str:
    """An error with the options of the command line for the fields of a configuration."""

    def option(found: re.Match[str]) -> str:
        group, name, equals = found.groups()
        name = OTHER_NAMES.get(f"{group}.{name}", name)
        return f"--{name.replace('_', '-')}{' ' if equals else ''}"

    return FIELD.sub(option, message)
