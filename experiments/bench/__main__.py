"""``make bench``: every case, a table, and ``bench/results.json`` with the machine it ran on.

python -m experiments.bench [CASE ...]
"""

import statistics
import time
from pathlib import Path
from typing import Any

import torch

from experiments import provenance
from experiments.bench import editing
from experiments.bench.cases import CASES, side_of
from experiments.bench.compare import measure, peak_memory
from toedit.corpora.files import read_json, write_json
from toedit.errors import Parser, one_line_errors

RESULTS = Path("bench/results.json")
MEMORY = {
    "memory": (editing.pipeline_over, "documents", (1_000, 100_000)),
    "streaming": (editing.copy_of, "shards of a data set", (4, 16)),
}
"""Work whose peak memory is compared over two sizes."""


def matmul_rate(dtype: torch.dtype, seconds: float = 0.5) -> float:
    """Rate in GFLOP/s of the matrix product that dominates the embedded model."""
    a, b = torch.randn(512, 576, dtype=dtype), torch.randn(1536, 576, dtype=dtype)
    torch.nn.functional.linear(a, b)
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        torch.nn.functional.linear(a, b)
        count += 1
    return count * 2 * 512 * 576 * 1536 / (time.perf_counter() - started) / 1e9


def roofline(rounds: int = 8) -> dict[str, float]:
    """Share of the matrix-product rate that editing and a plain forward pass reach.

    Operations are 2 per weight and token. The rate is measured between the passes, so that both see
    the machine at the same speed.
    """
    ours, plain, tokens = editing.forward()
    flops, shares = editing.embedded_prior().flops_per_token * tokens, []
    for _ in range(rounds):
        rate = matmul_rate(torch.float32) * 1e9
        shares.append((flops / ours() / rate, flops / plain() / rate))
    return {
        "editing": statistics.median(share for share, _ in shares),
        "plain": statistics.median(share for _, share in shares),
        "goal": 0.7,
    }


def _run(names: list[str]) -> dict[str, Any]:
    results: dict[str, Any] = {}
    for name, case in CASES.items():
        if name not in names:
            continue
        row = results[name] = measure(name, case)
        peaks = ""
        if case.memory:
            row["peak_memory_gb"] = [peak_memory(side_of, name, side) for side in (0, 1)]
            peaks = "   peak memory {:.2f} against {:.2f} GB".format(*row["peak_memory_gb"])
        speeds = (row["ours_tokens_per_second"], row["baseline_tokens_per_second"])
        print(
            f"{name:<15}{speeds[0]:>9.0f} t/s, {case.baseline}: {speeds[1]:.0f} t/s, "
            f"ratio {row['ratio']:.3f}, goal {case.goal}{peaks}"
        )
    if "roofline" in names:
        results["roofline"] = share = roofline()
        print(
            f"{'roofline':<15}share of the matrix-product rate: editing {share['editing']:.2f}, "
            f"plain {share['plain']:.2f}, goal {share['goal']}"
        )
    for name, (work, what, sizes) in MEMORY.items():
        if name in names:
            small, large = peaks_gb = [peak_memory(work, size) for size in sizes]
            results[name] = {what: sizes, "peak_memory_gb": peaks_gb, "goal": 1.1,
                             "ratio": large / small}  # fmt: skip
            print(
                f"{name:<15}{sizes[0]} {what} {small:.3f} GB, {sizes[1]} {large:.3f} GB, ratio "
                f"{large / small:.3f}, goal at most 1.1"
            )
    return results


@one_line_errors()
def main() -> None:
    """Run the named cases, or all."""
    every = [*CASES, "roofline", *MEMORY]
    parser = Parser(prog="python -m experiments.bench", description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(every))
    names = parser.parse_args().cases or every
    if unknown := [name for name in names if name not in every]:
        parser.error(f"no case {unknown[0]!r}; there are: {', '.join(every)}")
    results = _run(names)
    rates = {str(d).removeprefix("torch."): matmul_rate(d) for d in (torch.float32, torch.bfloat16)}
    print(
        "matrix products: " + ", ".join(f"{rate:.0f} GFLOP/s in {d}" for d, rate in rates.items())
    )
    before = read_json(RESULTS)["results"] if RESULTS.exists() else {}
    machine = {**provenance.environment(), "threads": torch.get_num_threads(), "dtype": "float32"}
    write_json(RESULTS, {"results": {**before, **results}, "matmul_gflops": rates, **machine})
    print(f"saved as {RESULTS}")


if __name__ == "__main__":
    main()
