"""``make gpu-check``: edits, scoring and training on this machine's GPU, in under eight minutes.

Every part runs in a process of its own, so that one that fails, hangs or breaks the device leaves
the others alone. Nothing is read but this tree. Exit code: 0, 1 if a part failed or a figure missed
its budget, 2 without a GPU.
"""

import math
import multiprocessing
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from experiments import provenance
from experiments.bench.gpu_parts import losses_by_precision, parity, pretraining, scoring, sharded
from experiments.bench.gpu_setup import LARGE, SMALL, Figure, Setup
from toedit.corpora.files import write_json
from toedit.errors import Parser, UserError, one_line_errors, short
from toedit.user_paths import path_option

Part = Callable[[Setup], dict[str, Figure]]

PARTS: dict[str, tuple[Part, float]] = {
    "parity of edits": (parity, 70),
    "losses by precision": (losses_by_precision, 45),
    "FSDP on one device": (sharded, 70),
    "pre-training GPT-2": (pretraining, 120),
    "scoring, 135M": (partial(scoring, name="135M"), 65),
    "scoring, 8B": (partial(scoring, name="8B"), 95),
}
"""What is checked, and the most seconds that it may take; together they end within 8 minutes."""


def run_part(part: Part, setup: Setup, seconds: float | None) -> dict[str, Any]:
    """Run a part in a new process, which is ended after so many seconds; None for no limit.

    Returns:
        ``seconds``, and ``figures`` by name or, in one line, why it ``failed``.
    """
    context, started = multiprocessing.get_context("spawn"), time.perf_counter()
    receive, send = context.Pipe(duplex=False)
    process = context.Process(target=_report, args=(part, setup, send))
    process.start()
    send.close()  # else a process that dies leaves the next line waiting
    try:
        if receive.poll(seconds):
            row = receive.recv()
            process.join(10)
        else:
            row = {"failed": f"not done in {seconds:g} s"}
    except EOFError:
        process.join()
        row = {"failed": f"its process ended with exit code {process.exitcode}"}
    finally:
        process.kill()
        process.join()
    return {"seconds": time.perf_counter() - started, **row}


def _report(part: Part, setup: Setup, pipe: Any) -> None:
    try:
        figures = part(setup)
    except Exception as error:
        known = isinstance(error, UserError)
        if not known:
            traceback.print_exc()
        kind = "" if known else f"{type(error).__name__}: "
        pipe.send({"failed": kind + short(error, 300)})
        return
    pipe.send({
        "figures": {
            name: {
                "value": float(figure.value),
                **({"at_least": float(figure.low)} if figure.low > -math.inf else {}),
                **({"at_most": float(figure.high)} if figure.high < math.inf else {}),
                "within": figure.within,
            }
            for name, figure in figures.items()
        }
    })  # fmt: skip


def passed(row: dict[str, Any]) -> bool:
    """Whether a part ended and its figures are within their budgets."""
    return all(figure["within"] for figure in row.get("figures", {"": {"within": False}}).values())


def show(name: str, row: dict[str, Any]) -> None:
    """Print the result of a part."""
    print(f"{name}: {row.get('failed', 'done')}, {row['seconds']:.0f} s")
    for label, figure in row.get("figures", {}).items():
        budget = "".join(
            f", {word.replace('_', ' ')} {figure[word]:g}"
            for word in ("at_least", "at_most") if word in figure
        )  # fmt: skip
        print(f"  {label}: {figure['value']:.5g}{budget}{'' if figure['within'] else ': MISSED'}")


def main(argv: list[str] | None = None) -> None:
    """Run all parts, or the named ones; write the record after each."""
    parser = Parser(prog="python -m experiments.bench.gpu", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help="; ".join(PARTS))
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny models, to try the code")
    parser.add_argument(
        "--out", type=path_option, metavar="FILE",
        help="default: results/gpu_check.json for the whole check, else bench/gpu.json",
    )  # fmt: skip
    options = parser.parse_args(argv)
    names = options.parts or list(PARTS)
    if unknown := [name for name in names if name not in PARTS]:
        parser.error(f"no part {unknown[0]!r}; there are: {'; '.join(PARTS)}")
    # Training in one process refuses several GPUs.
    os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    if options.device == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "make gpu-check needs a CUDA device and finds none; --device cpu --small tries its code"
        )
    if options.device == "cpu" and not options.small:
        raise UserError("--device cpu needs --small: an 8B model takes hours there")
    part_of_it = options.small or options.parts
    out = options.out or Path("bench/gpu.json" if part_of_it else "results/gpu_check.json")
    size = SMALL if options.small else LARGE
    device = torch.cuda.get_device_name() if options.device == "cuda" else "cpu"
    machine = {"device": device, "cuda": torch.version.cuda, "small": options.small,
               **provenance.environment()}  # fmt: skip
    results: dict[str, Any] = {}
    for name in names:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            part, most = PARTS[name]
            setup = Setup(options.device, size, Path(folder))
            results[name] = run_part(part, setup, None if options.small else most)
        show(name, results[name])
        good = all(map(passed, results.values()))
        row = {"time": provenance.now(), "seconds": sum(r["seconds"] for r in results.values()),
               "passed": good and len(results) == len(names), "parts": results}  # fmt: skip
        write_json(out, {**machine, **row})
    print(f"{'passed' if good else 'FAILED'} in {row['seconds']:.0f} s, saved as {out}")
    sys.exit(not good)


if __name__ == "__main__":
    with one_line_errors():
        main()
