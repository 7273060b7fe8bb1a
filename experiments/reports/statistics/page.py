"""The statistics as a page of Markdown."""

from typing import Any

from experiments.reports.format import table
from experiments.reports.statistics.findings import at_most, percent, ratio, shown

SHOWN_PAIRS = 12
QUANTILES = ("0.05", "0.25", "0.5", "0.75", "0.95")


def markdown(values: dict[str, Any]) -> str:
    """The results as a page of Markdown."""
    parts = [f"# {values['experiment']}, seed {values['seed']}", _corpora(values)]
    for own in values["perplexity"]:
        parts += [f"## Perplexity under {own['prior']}", _perplexity(own), _bins(own)]
    if values["words"]:
        parts += ["## Words and pairs of words", _measures(values["words"]),
                  _distances(values["words"]), _pairs(values["words"])]  # fmt: skip
    rest = _rest(values)
    if rest:
        parts += ["## Density, selection, neighbours", *rest]
    verdicts = [
        [
            row["finding"],
            row["found"],
            at_most(row["p"]),
            at_most(row["p_corrected"], row["p"]),
            row["numbers"],
        ]
        for row in values["verdicts"]
    ]
    header = ["finding", "found", "p", "p, corrected", "numbers [95 %]"]
    parts += ["## Findings", table(header, verdicts)]
    parts.append(_caption(values))
    return "\n\n".join(filter(None, parts)) + "\n"


def _corpora(values: dict[str, Any]) -> str:
    rows = []
    for name, found in values["corpora"].items():
        if name in values["edited"]:
            changed = f"{found['changed']} of {found['tokens']} tokens changed"
            rows.append([name, str(found["documents"]), "", "", changed])
        else:
            quartiles = " / ".join(f"{value:.0f}" for value in found["words_quartiles"])
            rows.append([name, str(found["documents"]), str(found["words"]), quartiles, ""])
    return table(["corpus", "documents", "words", "words a document, quartiles", ""], rows)


def _perplexity(own: dict[str, Any]) -> str:
    rows = []
    for name, row in own["corpora"].items():
        found, place = row["metrics"], row["position"]
        cells = [name, str(found["scored"]), f"{found['perplexity']:.1f}"]
        cells.append(" / ".join(f"{found['quantiles'][q]:.3g}" for q in QUANTILES))
        cells += [percent(place[key]) for key in ("lowest_quarter", "inner_half", "tail")]
        cells.append(ratio(place["spread"]))
        rows.append(cells)
    header = ["corpus", "tokens", "token perplexity", "of documents: 5 / 25 / 50 / 75 / 95 %",
              "in the lowest human quarter, %", "in the inner human half, %",
              "above the human 95 %, %", "interquartile range, log, to human"]  # fmt: skip
    return table(header, rows)


def _bins(own: dict[str, Any]) -> str:
    bins = [f"{i / 10:.1f}–{(i + 1) / 10:.1f}" for i in range(10)]
    header = ["token probability, % of tokens", *bins, "≥ .99", "≥ .999"]
    rows = []
    for name, row in own["corpora"].items():
        found = row["metrics"]
        shares = [f"{100 * share:.1f}" for share in found["histogram"]]
        certain = f"{100 * found['share_above_999']:.2f}"
        rows.append([name, *shares, shown(row["near_certain"], 2, 100), certain])
    return table(header, rows)


def _measures(words: dict[str, Any]) -> str:
    header = ["corpus", "types a word, %", "entropy, bits", "Zipf slope", "distinct pairs, %",
              "distinct triples, %", "runs of four in another document, %"]  # fmt: skip
    rows = [
        [name, percent(own["type_token_ratio"]), shown(own["entropy"]), shown(own["zipf_slope"]),
         percent(own["distinct_2"]), percent(own["distinct_3"]), percent(own["self_repetition"])]
        for name, own in words["measures"].items()
    ]  # fmt: skip
    return table(header, rows)


def _distances(words: dict[str, Any]) -> str:
    rows = []
    for name, distance in words["distance"].items():
        excess, left = words["excess"].get(name), words["unrepaired"].get(name)
        entropies = words["entropy"][name]
        rows.append(
            [name, shown(distance, 3), "" if excess is None else shown(excess, 4, 1, True),
             "" if left is None else percent(left),
             *("" if e is None else f"{e:.2f}" for e in entropies.values())]
        )  # fmt: skip
    header = ["corpus", "Jensen–Shannon distance from the reference", "excess over human",
              "of the synthetic excess, %", "entropy, hashed words", "hashed pairs"]  # fmt: skip
    return table(header, rows)


def _pairs(words: dict[str, Any]) -> str:
    names = list(words["pairs"])
    columns = [words["pairs"][name]["top"][:SHOWN_PAIRS] for name in names]
    rows = []
    for rank in range(max(map(len, columns))):
        cells = [f"{c[rank][0]} {1e4 * c[rank][1]:.0f}" if rank < len(c) else "" for c in columns]
        rows.append([str(rank + 1), *(cell.replace("|", "\\|") for cell in cells)])
    return table(["commonest pairs, of 10,000", *names], rows) if rows else ""


def _rest(values: dict[str, Any]) -> list[str]:
    names = [name for name in values["corpora"]
             if name in values["map"] or name in values["density"].get("corpora", {})]  # fmt: skip
    rows = []
    for name in names:
        responses = values["density"].get("corpora", {}).get(name)
        place = values["map"].get(name)
        rows.append(
            [name, "" if responses is None else " / ".join(
                f"{value:.2g}" for value in responses["quartiles"]),
             "" if place is None else percent(place["purity"])]
        )  # fmt: skip
    header = ["corpus", "density response, quartiles", "nearest neighbours of its own kind, %"]
    found = [table(header, rows)] if rows else []
    chosen = [
        [name, f"{m['chosen_documents']} of {m['documents']}",
         f"{m['chosen_mean_characters']:.0f} ({m['mean_characters']:.0f})"]
        for name, m in ((name, own["metrics"]) for name, own in values["selections"].items())
    ]  # fmt: skip
    if chosen:
        header = ["selection", "documents", "characters a document (all)"]
        found.append(table(header, chosen))
    return found


def _caption(values: dict[str, Any]) -> str:
    sentences = [
        values["note"],
        f"Made by `{values['command']}`.",
        "The reference is more human text, in no other corpus; distances and neighbours are taken "
        "from it, so that the row of human text says what two samples of one kind differ by.",
        "Intervals are 95 %, over documents: by the bootstrap (shares of the human range, U), its "
        "BCa form (ratios of interquartile ranges), 1.96 bootstrap deviations around the value "
        "(distances), the linearised error of a ratio (near-certain tokens), twice the error of a "
        "mean (densities, whose pairs of documents count twice) and halves of the documents "
        "(neighbours); over chunks of equal size by Student and Welch. p is of the threshold that "
        "a finding names; of distances it comes from permuted labels. It is "
        "corrected over the findings by Benjamini and Hochberg; they are exploratory.",
    ]
    if values["edited"]:
        rules = "; ".join(f"{name}: {rule}" for name, rule in values["rules"].items())
        sentences.append(
            f"Edited text is the human text under a rule, and resampled with it ({rules})."
        )
    if values["words"]:
        counts = ", ".join(f"{name} {n}" for name, n in values["words"]["chunks"].items())
        sentences.append(f"Chunks: {counts}.")
        missing = max(own["missing"] for own in values["words"]["pairs"].values())
        if missing:
            sentences.append(f"Counts of pairs lack at most {missing}.")
    return " ".join(filter(None, sentences))
