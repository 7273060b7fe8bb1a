"""The figures of the statistics, each with its numbers as CSV."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from experiments.reports import printed
from experiments.reports.plots import Curve, Panel, panels_figure, steps, write_csv

UNITS = {"dsir": "log weight, nats", "dsir_normalized": "log weight an n-gram, nats"}
"""Of weights, by method."""

TOP = 40
"""Pairs in the figure; the CSV has all that are listed."""


def _caption(values: dict[str, Any], n: Mapping[str, int | str], unit: str = "documents") -> str:
    sizes = ", ".join(
        f"{name} {size if isinstance(size, str) else format(size, ',')}" for name, size in n.items()
    )
    return f"n, {unit}: {sizes}. {values['command']}"


def _outline(rows: list[list[str]], edges: list[float], shares: list[float], *names: str) -> Curve:
    """A histogram as an outline named last of all; its numbers are added to the rows."""
    for low, high, share in zip(edges, edges[1:], shares, strict=False):
        rows.append([*names, repr(low), repr(high), repr(share)])
    return Curve(names[-1], *steps(edges, [100 * share for share in shares]), plain=True)


def perplexity(values: dict[str, Any], folder: Path) -> Path | None:
    """Document perplexity under each prior (figures 3 and 10)."""
    panels, rows = [], [["prior", "corpus", "from", "to", "share_of_documents"]]
    for own in values["perplexity"]:
        curves = [
            _outline(rows, own["edges"], row["histogram"], own["prior"], name)
            for name, row in own["corpora"].items()
        ]
        human = own["corpora"]["human"]["metrics"]["quantiles"]
        named = {"human 25 %": "0.25", "human 75 %": "0.75", "human 95 %": "0.95"}
        marks = [(label, human[q]) for label, q in named.items()]
        axis = f"document perplexity under {own['prior']}"
        panels.append(Panel(curves, axis, "documents, %", log_x=True, marks=marks))
    if not panels:
        return None
    write_csv(folder / "perplexity.csv", rows)
    caption = _caption(values, _sizes(values, lambda row: row["documents"]))
    return panels_figure(folder, "perplexity", panels, caption)


def _sizes(values: dict[str, Any], of: Callable[[dict[str, Any]], int]) -> dict[str, str]:
    """How much of each corpus each prior has scored."""
    sizes: dict[str, list[int]] = {}
    for own in values["perplexity"]:
        for name, row in own["corpora"].items():
            sizes.setdefault(name, []).append(of(row))
    return {
        name: " and ".join(f"{size:,}" for size in dict.fromkeys(own))
        for name, own in sizes.items()
    }


def probability(values: dict[str, Any], folder: Path) -> Path | None:
    """Token probability in ten bins, beside the paper's (figures 5 and 6, table 6)."""
    panels, rows = [], [["prior", "corpus", "from", "to", "share_of_tokens"]]
    paper = [float(row["percent"]) for row in printed.read("table6")]
    middles = [i / 10 + 0.05 for i in range(10)]
    for own in values["perplexity"]:
        curves = []
        for name, row in own["corpora"].items():
            found = row["metrics"]["histogram"]
            curves.append(Curve(name, middles, [100 * share for share in found]))
            rows += [[own["prior"], name, f"{i / 10:.1f}", f"{(i + 1) / 10:.1f}", repr(share)]
                     for i, share in enumerate(found)]  # fmt: skip
        curves.append(Curve("paper, table 6 (Dolma, Qwen-0.5B-Instruct)", middles, paper))
        panels.append(Panel(curves, f"token probability under {own['prior']}", "tokens, %"))
    if not panels:
        return None
    write_csv(folder / "probability.csv", rows)
    caption = _caption(values, _sizes(values, lambda row: row["metrics"]["scored"]), "tokens")
    return panels_figure(folder, "probability", panels, caption)


def ngrams(values: dict[str, Any], folder: Path) -> Path | None:
    """Shares of the hashed buckets of words and of pairs by rank (figure 11)."""
    if not values["words"]:
        return None
    panels, rows = [], [["kind", "corpus", "rank", "share"]]
    for kind in ("words", "pairs"):
        curves = []
        for name, own in values["words"]["ranks"].items():
            if own[kind]:
                ranks, shares = zip(*own[kind], strict=True)
                curves.append(Curve(name, ranks, shares, plain=True))
                rows += [[kind, name, str(r), repr(s)] for r, s in own[kind]]
        panels.append(Panel(curves, f"rank of the bucket, {kind}", f"share of all {kind}",
                            log_x=True, log_y=True))  # fmt: skip
    write_csv(folder / "ngrams.csv", rows)
    sizes = {name: own["total"] for name, own in values["words"]["pairs"].items()}
    return panels_figure(folder, "ngrams", panels, _caption(values, sizes, "pairs of words"))


def pairs(values: dict[str, Any], folder: Path) -> Path | None:
    """The commonest pairs of words of each corpus (figures 12 and 13)."""
    if not values["words"]:
        return None
    panels, rows = [], [["corpus", "rank", "pair", "share"]]
    shown = {n: own for n, own in values["words"]["pairs"].items() if n not in values["edited"]}
    for name, own in values["words"]["pairs"].items():
        rows += [[name, str(i), pair, repr(share)] for i, (pair, share) in enumerate(own["top"], 1)]
        if name in shown and own["top"]:
            top = own["top"][:TOP]
            curve = Curve("", [1e4 * share for _, share in top], range(len(top)), points=True)
            names = [pair.replace("$", "\\$") for pair, _ in top]
            panels.append(Panel([curve], "of 10,000 pairs", "", name, names=names))
    if not panels:
        return None
    write_csv(folder / "pairs.csv", rows)
    sizes = {name: own["total"] for name, own in shown.items()}
    caption = _caption(values, sizes, "pairs of words")
    return panels_figure(folder, "pairs", panels, caption, height=6.4, width=2.6)


def density(values: dict[str, Any], folder: Path) -> Path | None:
    """Responses of the density sketch (figure 14)."""
    found = values["density"]
    if not found:
        return None
    rows = [["corpus", "from", "to", "share_of_documents"]]
    curves = [
        _outline(rows, found["edges"], own["histogram"], name)
        for name, own in found["corpora"].items()
    ]
    write_csv(folder / "density.csv", rows)
    sizes = {name: own["documents"] for name, own in found["corpora"].items()}
    panel = Panel(curves, "response: mean share of the corpus in its buckets", "documents, %")
    return panels_figure(folder, "density", [panel], _caption(values, sizes))


def selection(values: dict[str, Any], folder: Path) -> Path | None:
    """Weights of all synthetic documents and of the selected ones."""
    panels, rows = [], [["method", "documents", "from", "to", "share"]]
    sizes: dict[str, int] = {}
    for name, own in values["selections"].items():
        curves = [_outline(rows, own["edges"], own[p], name, p) for p in ("all", "chosen")]
        metrics = own["metrics"]
        sizes |= {f"{name}, all": metrics["documents"],
                  f"{name}, chosen": metrics["chosen_documents"]}  # fmt: skip
        panels.append(Panel(curves, UNITS.get(name, "weight"), "documents, %", name))
    if not panels:
        return None
    write_csv(folder / "selection.csv", rows)
    return panels_figure(folder, "selection", panels, _caption(values, sizes))


def embeddings(values: dict[str, Any], folder: Path) -> Path | None:
    """The map of embedded documents (figure 4B)."""
    if not values["map"]:
        return None
    rows, curves = [["corpus", "x", "y"]], []
    for name, own in values["map"].items():
        curves.append(Curve(name, own["x"], own["y"], points=True))
        rows += [[name, repr(x), repr(y)] for x, y in zip(own["x"], own["y"], strict=True)]
    write_csv(folder / "map.csv", rows)
    sizes = {name: own["documents"] for name, own in values["map"].items()}
    panel = Panel(curves, "t-SNE, first axis (no unit)", "t-SNE, second axis (no unit)")
    return panels_figure(folder, "map", [panel], _caption(values, sizes), height=4.4)


FIGURES = (perplexity, probability, ngrams, pairs, density, selection, embeddings)
