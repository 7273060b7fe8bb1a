"""What the commands share: options, the output folder, and its guards."""

import argparse
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toedit.corpora import INVALID_UTF8, WORK
from toedit.engines import ENGINES, Engine
from toedit.errors import UserError
from toedit.progress import Speed

SETTINGS = f"{WORK}/settings.json"
ENGINE_OPTIONS: list[tuple[str, Any, str]] = [
    ("threads", int, "threads of a worker, for equal bits on any number of workers"),
    ("cpus", int, "processors of a slurm or ray task"),
    ("gpus", int, "accelerators of a slurm or ray task"),
    ("memory-gb", int, "memory of each of its processors"),
    ("time", str, "limit of a slurm task"),
    ("partition", str, "slurm partition"),
]

ROWS_PER_UNIT = 64
"""Documents in a unit of work: what a kill costs at most."""


def add_input_options(parser: argparse.ArgumentParser) -> None:
    """Inputs and how records become documents."""
    parser.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="files, folders, or ids of hub data sets"
    )
    parser.add_argument("--text-column", default="text", metavar="NAME")
    parser.add_argument("--id-column", default="id", metavar="NAME")
    parser.add_argument(
        "--messages-column", metavar="NAME", help="chat messages; only assistant turns may change"
    )
    parser.add_argument(
        "--prompt-column", metavar="NAME", help="prompt; --text-column is then the response"
    )
    parser.add_argument("--invalid-utf8", default="error", choices=INVALID_UTF8)
    parser.add_argument(
        "--txt", default="line", choices=("line", "file"), help="what a document is in a txt file"
    )


def add_prior_options(parser: argparse.ArgumentParser) -> None:
    """The prior and where it runs."""
    parser.add_argument(
        "--prior",
        action="append",
        metavar="MODEL",
        help="embedded, a model folder, a hub id, or table (a toy, for trying things out); "
        "several average their probabilities (default: embedded)",
    )
    parser.add_argument(
        "--backend", default="hf", choices=("hf", "vllm"), help="what runs it (default: hf)"
    )
    parser.add_argument("--compile", action="store_true", help="run it through torch.compile")
    parser.add_argument("--revision", help="commit of a hub model")
    parser.add_argument("--dtype", default="float32", help="of its weights (default: float32)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (default: auto)")
    parser.add_argument("--max-length", type=int, default=2048, help="tokens in a forward pass")
    parser.add_argument("--batch-tokens", type=int, default=2048, help="tokens in a batch")
    parser.add_argument("--engine", default="local", choices=ENGINES, help="default: local")
    parser.add_argument("--workers", type=int, default=1, help="units at a time (default: 1)")
    for name, kind, what in ENGINE_OPTIONS:
        default = getattr(Engine(), name.replace("-", "_"))
        parser.add_argument(f"--{name}", type=kind, default=default, help=f"{what} ({default})")


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """The output folder."""
    parser.add_argument("--output", required=True, type=Path, metavar="DIR")
    parser.add_argument("--force", action="store_true", help="replace a finished output")
    parser.add_argument(
        "--shard-size", type=float, default=256.0, metavar="MB", help="of output files"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="estimate tokens, time and disk from a sample"
    )


def engine_of(arguments: argparse.Namespace) -> Engine:
    """Where the units of work run."""
    options = {name.replace("-", "_"): getattr(arguments, name.replace("-", "_"))
               for name, _, _ in ENGINE_OPTIONS}  # fmt: skip
    return Engine(kind=arguments.engine, workers=arguments.workers, **options)


def reading_of(arguments: argparse.Namespace):
    """How records become documents."""
    from toedit.corpora.documents import Reading

    return Reading(
        text_column=arguments.text_column,
        id_column=arguments.id_column,
        messages_column=arguments.messages_column,
        prompt_column=arguments.prompt_column,
        invalid_utf8=arguments.invalid_utf8,
        whole_files=arguments.txt == "file",
        unpack=False,
    )


def prior_of(arguments: argparse.Namespace):
    """The prior's configuration."""
    from toedit.plugins import is_plugin
    from toedit.priors import PriorConfig

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
        device=arguments.device,
        max_length=arguments.max_length,
        overlap=min(256, arguments.max_length // 4),
        batch_tokens=arguments.batch_tokens,
        compile=arguments.compile,
    )


def speed_line(speed: Speed, flops: int, tokens: int) -> str:
    """Tokens a second, and operations of the prior; empty where this run did no work."""
    if not speed.tokens or not tokens:
        return ""
    rate = speed.tokens / max(speed.seconds, 1e-9)
    work = f", {rate * flops / tokens / 1e9:,.0f} GFLOP/s of the prior" if flops else ""
    return f"{speed.tokens} tokens in {speed.seconds:.1f} s: {rate:,.0f} tokens/s{work}\n"


def check(arguments: argparse.Namespace) -> None:
    """Refuses numbers that make no sense."""
    for name in ("shard_size", "batch_tokens"):
        if getattr(arguments, name) <= 0:
            option = "--" + name.replace("_", "-")
            raise UserError(f"{option} {getattr(arguments, name)} must be greater than 0")


def open_output(
    output: Path,
    inputs: Sequence[str],
    settings: dict[str, Any],
    results: Sequence[str],
    force: bool,
) -> None:
    """Makes the output folder ready for a new or a continued run.

    Args:
        output: the folder.
        inputs: what is read, none of which may lie inside it.
        settings: everything that decides the result, as plain JSON values.
        results: names the command writes into the folder; the last one is written last.
        force: replace what an earlier run finished or began.

    Raises:
        UserError: it holds a finished output, one begun with other settings, or something else.
    """
    from toedit.corpora.files import read_json, write_json
    from toedit.corpora.prepare import is_hub_id
    from toedit.corpora.units import corpus_files

    local = [name for name in inputs if not is_hub_id(name)]
    for name in local:
        folder = Path(name).resolve()
        if folder in output.resolve().parents:
            raise UserError(f"the output {str(output)!r} lies inside the input {name!r}")
    for path in corpus_files(local) if local else ():
        if output.resolve() in path.resolve().parents:
            raise UserError(f"input {str(path)!r} lies inside the output {str(output)!r}")
    begun, finished = (output / SETTINGS).exists(), (output / results[-1]).exists()
    if force and (begun or finished):
        for name in [*reversed(results), WORK]:  # first what says that it is finished
            shutil.rmtree(output / name, ignore_errors=True)
            if (output / name).is_file():
                (output / name).unlink()
        begun = finished = False
    if finished:
        raise UserError(f"{str(output)!r} holds a finished output; --force replaces it")
    if begun and read_json(output / SETTINGS) != json.loads(json.dumps(settings)):
        raise UserError(
            f"{str(output)!r} was begun with other settings or inputs; use the same, another "
            "folder, or --force"
        )
    if not begun and output.exists() and any(p.name != WORK for p in output.iterdir()):
        raise UserError(
            f"{str(output)!r} is not empty and no output of this command; choose another folder"
        )
    write_json(output / SETTINGS, settings)


def input_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """The inputs with their sizes, and every option that decides a result."""
    from toedit.corpora.prepare import is_hub_id
    from toedit.corpora.units import corpus_files

    files: list[list[Any]] = []
    for name in arguments.inputs:
        paths = [] if is_hub_id(name) else corpus_files([name])
        files += [[str(path), path.stat().st_size] for path in paths] or [[name, 0]]
    harmless = {"command", "inputs", "output", "force", "dry_run", "workers", "batch_tokens",
                "device", "run", "engine",
                *(name.replace("-", "_") for name, _, _ in ENGINE_OPTIONS)}  # fmt: skip
    chosen = {k: v for k, v in sorted(vars(arguments).items()) if k not in harmless}
    return {"inputs": files, **{k: str(v) if isinstance(v, Path) else v for k, v in chosen.items()}}
