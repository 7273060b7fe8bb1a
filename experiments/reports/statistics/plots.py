"""Draw the figures of the statistics of corpora, each with its numbers as CSV."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from experiments.reports import printed
from experiments.reports.plots import Curve, Panel, extremes, panels_figure, steps

UNITS = {"dsir": "log weight, nats", "dsir_normalized": "log weight an n-gram, nats"}
"""Units of document weights, by method of selection."""

PLAN = "statistics"
TOP = 40
"""Number of pairs in the figure; the CSV has all that are listed."""


def _caption(values: dict[str, Any], n: Mapping[str, int | str], unit: str = "documents") -> str:
    sizes = (f"{name} {s if isinstance(s, str) else f'{s:,}'}" for name, s in n.items())
    return f"n, {unit}: {', '.join(sizes)}. {values['command']}"


def _outline(rows: list[list[str]], edges: list[float], shares: list[float], *names: str) -> Curve:
    """Outline of a histogram, labelled by the last name; appends its numbers to the rows."""
    for low, high, share in zip(edges, edges[1:], shares, strict=False):
        rows.append([*names, repr(low), repr(high), repr(share)])
    return Curve(names[-1], *steps(edges, [100 * share for share in shares]), plain=True)


def perplexity(values: dict[str, Any], folder: Path) -> Path | None:
    """Document perplexity under each prior (figures 3 and 10)."""
    panels, rows = [], [["prior", "corpus", "from", "to", "share_of_documents"]]
    for scores in values["perplexity"]:
        prior, corpora = scores["prior"], scores["corpora"]
        curves = [
            _outline(rows, scores["edges"], row["histogram"], prior, name)
            for name, row in corpora.items()
        ]
        quantiles = corpora["human"]["metrics"]["quantiles"]
        marks = [(f"human {100 * float(q):g} %", quantiles[q]) for q in ("0.25", "0.75", "0.95")]
        axis = f"document perplexity under {prior}"
        panels.append(Panel(curves, axis, "documents, %", log_x=True, marks=marks))
    caption = _caption(values, _sizes(values, lambda row: row["documents"]))
    medians = [_by_corpus(scores, lambda row: row["metrics"]["quantiles"]["0.5"])
               for scores in values["perplexity"]]  # fmt: skip
    finding = f"Median perplexity {'; '.join(medians)}"
    return panels_figure(folder, "perplexity", panels, rows, caption, finding, PLAN)


def _by_corpus(scores: dict[str, Any], of: Callable[[dict[str, Any]], float]) -> str:
    """Name the corpora with the least and the greatest value under a prior."""
    return f"under {scores['prior']} {extremes({n: of(r) for n, r in scores['corpora'].items()})}"


def _sizes(values: dict[str, Any], of: Callable[[dict[str, Any]], int]) -> dict[str, str]:
    """Documents or tokens of each corpus that were scored, once where priors agree."""
    sizes: dict[str, dict[str, None]] = {}
    for scores in values["perplexity"]:
        for name, row in scores["corpora"].items():
            sizes.setdefault(name, {})[f"{of(row):,}"] = None
    return {name: " and ".join(texts) for name, texts in sizes.items()}


def probability(values: dict[str, Any], folder: Path) -> Path | None:
    """Token probability in ten bins, with the paper's (figures 5 and 6, table 6)."""
    panels, rows = [], [["prior", "corpus", "from", "to", "share_of_tokens"]]
    paper = [float(row["percent"]) for row in printed.read("table6")]
    middles = [i / 10 + 0.05 for i in range(10)]
    for scores in values["perplexity"]:
        curves, prior = [], scores["prior"]
        for name, row in scores["corpora"].items():
            shares = row["metrics"]["histogram"]
            curves.append(Curve(name, middles, [100 * share for share in shares]))
            rows += [[prior, name, f"{i / 10:.1f}", f"{(i + 1) / 10:.1f}", repr(share)]
                     for i, share in enumerate(shares)]  # fmt: skip
        curves.append(Curve("paper, table 6 (Dolma, Qwen-0.5B-Instruct)", middles, paper))
        panels.append(Panel(curves, f"token probability under {prior}", "tokens, %"))
    caption = _caption(values, _sizes(values, lambda row: row["metrics"]["scored"]), "tokens")
    shares = [_by_corpus(scores, lambda row: 100 * row["metrics"]["histogram"][-1])
              for scores in values["perplexity"]]  # fmt: skip
    finding = f"Tokens of probability 0.9 or more, in percent, {'; '.join(shares)}"
    return panels_figure(folder, "probability", panels, rows, caption, finding, PLAN)


def ngrams(values: dict[str, Any], folder: Path) -> Path | None:
    """Shares of the hashed buckets of words and of pairs by rank (figure 11)."""
    if not values["words"]:
        return None
    panels, rows = [], [["kind", "corpus", "rank", "share"]]
    for kind in ("words", "pairs"):
        curves = []
        for name, points in values["words"]["ranks"].items():
            if points[kind]:
                ranks, shares = zip(*points[kind], strict=True)
                curves.append(Curve(name, ranks, shares, plain=True))
                rows += [[kind, name, str(r), repr(s)] for r, s in points[kind]]
        panels.append(Panel(curves, f"rank of the bucket, {kind}", f"share of all {kind}",
                            log_x=True, log_y=True))  # fmt: skip
    sizes = {name: counts["total"] for name, counts in values["words"]["pairs"].items()}
    caption = _caption(values, sizes, "pairs of words")
    bits = {name: entropy["pairs"] for name, entropy in values["words"]["entropy"].items()}
    finding = f"Entropy of pairs of words, bits, {extremes(bits)}"
    return panels_figure(folder, "ngrams", panels, rows, caption, finding, PLAN)


def pairs(values: dict[str, Any], folder: Path) -> Path | None:
    """Most frequent pairs of words of each corpus (figures 12 and 13)."""
    if not values["words"]:
        return None
    panels, rows = [], [["corpus", "rank", "pair", "share"]]
    sizes = {}
    for name, counts in values["words"]["pairs"].items():
        for rank, (pair, share) in enumerate(counts["top"], 1):
            rows.append([name, str(rank), pair, repr(share)])
        if name in values["edited"]:
            continue
        sizes[name] = counts["total"]
        if top := counts["top"][:TOP]:
            curve = Curve("", [1e4 * share for _, share in top], range(len(top)), points=True)
            names = [pair.replace("$", "\\$") for pair, _ in top]
            panels.append(Panel([curve], "of 10,000 pairs", "", name, names=names))
    caption = _caption(values, sizes, "pairs of words")
    first = {f"“{counts['top'][0][0]}” in {name}": 1e4 * counts["top"][0][1]
             for name, counts in values["words"]["pairs"].items() if counts["top"]}  # fmt: skip
    finding = f"Most frequent pair, of 10,000: {extremes(first)}" if first else ""
    return panels_figure(folder, "pairs", panels, rows, caption, finding.replace("$", "\\$"), PLAN,
                         height=6.4, width=2.6)  # fmt: skip


def density(values: dict[str, Any], folder: Path) -> Path | None:
    """Responses of the density sketch (figure 14)."""
    if not values["density"]:
        return None
    edges, corpora = values["density"]["edges"], values["density"]["corpora"]
    rows = [["corpus", "from", "to", "share_of_documents"]]
    curves = [_outline(rows, edges, row["histogram"], name) for name, row in corpora.items()]
    sizes = {name: row["documents"] for name, row in corpora.items()}
    panel = Panel(curves, "response: mean share of the corpus in its buckets", "documents, %")
    medians = {name: row["quartiles"][1] for name, row in corpora.items()}
    finding = f"Median response {extremes(medians)}"
    return panels_figure(folder, "density", [panel], rows, _caption(values, sizes), finding, PLAN)


def selection(values: dict[str, Any], folder: Path) -> Path | None:
    """Weights of all synthetic documents and of the selected ones."""
    panels, rows = [], [["method", "documents", "from", "to", "share"]]
    sizes: dict[str, int] = {}
    for name, weights in values["selections"].items():
        curves = [_outline(rows, weights["edges"], weights[p], name, p) for p in ("all", "chosen")]
        sizes[f"{name}, all"] = weights["metrics"]["documents"]
        sizes[f"{name}, chosen"] = weights["metrics"]["chosen_documents"]
        panels.append(Panel(curves, UNITS.get(name, "weight"), "documents, %", name))
    kept = [f"{name} keeps {w['metrics']['chosen_documents']:,} of {w['metrics']['documents']:,}"
            for name, w in values["selections"].items()]  # fmt: skip
    finding = f"{'; '.join(kept)} documents" if kept else ""
    return panels_figure(folder, "selection", panels, rows, _caption(values, sizes), finding, PLAN)


def embeddings(values: dict[str, Any], folder: Path) -> Path | None:
    """Map of embedded documents (figure 4B)."""
    if not values["map"]:
        return None
    rows, curves = [["corpus", "x", "y"]], []
    for name, row in values["map"].items():
        curves.append(Curve(name, row["x"], row["y"], points=True))
        rows += [[name, repr(x), repr(y)] for x, y in zip(row["x"], row["y"], strict=True)]
    sizes = {name: row["documents"] for name, row in values["map"].items()}
    panel = Panel(curves, "t-SNE, first axis (no unit)", "t-SNE, second axis (no unit)")
    purity = {name: 100 * row["purity"]["value"] for name, row in values["map"].items()}
    finding = f"Nearest neighbours of a document's own kind, in percent: {extremes(purity)}"
    return panels_figure(
        folder, "map", [panel], rows, _caption(values, sizes), finding, PLAN, height=4.4
    )


FIGURES = (perplexity, probability, ngrams, pairs, density, selection, embeddings)
