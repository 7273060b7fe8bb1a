"""Write the statistics of corpora as a page of Markdown."""

from typing import Any

from experiments.reports.format import table
from experiments.reports.statistics.findings import at_most, estimate_text, log_ratio_text, percent

SHOWN_PAIRS = 12
QUANTILES = ("0.05", "0.25", "0.5", "0.75", "0.95")


def markdown(values: dict[str, Any]) -> str:
    """Write the results as a page of Markdown."""
    parts = [f"# {values['experiment']}, seed {values['seed']}", _corpora(values)]
    for scores in values["perplexity"]:
        corpora = scores["corpora"]
        parts += [f"## Perplexity under {scores['prior']}", _perplexity(corpora), _bins(corpora)]
    if values["words"]:
        parts += ["## Words and pairs of words", _measures(values["words"]),
                  _distances(values["words"]), _pairs(values["words"])]  # fmt: skip
    rest = _rest(values)
    if rest:
        parts += ["## Density, selection, neighbours", *rest]
    verdicts = []
    for row in values["verdicts"]:
        p = [at_most(row["p"]), at_most(row["p_corrected"], row["p"])]
        verdicts.append([row["finding"], row["found"], *p, row["numbers"]])
    header = ["finding", "found", "p", "p, corrected", "numbers [95 %]"]
    parts += ["## Findings", table(header, verdicts), _caption(values)]
    return "\n\n".join(filter(None, parts)) + "\n"


def _corpora(values: dict[str, Any]) -> str:
    rows = []
    for name, metrics in values["corpora"].items():
        if name in values["edited"]:
            cells = ["", "", f"{metrics['changed']} of {metrics['tokens']} tokens changed"]
        else:
            quartiles = " / ".join(f"{value:.0f}" for value in metrics["words_quartiles"])
            cells = [str(metrics["words"]), quartiles, ""]
        rows.append([name, str(metrics["documents"]), *cells])
    return table(["corpus", "documents", "words", "words a document, quartiles", ""], rows)


def _perplexity(corpora: dict[str, dict[str, Any]]) -> str:
    rows = []
    for name, row in corpora.items():
        metrics, position = row["metrics"], row["position"]
        quantiles = " / ".join(f"{metrics['quantiles'][q]:.3g}" for q in QUANTILES)
        shares = [percent(position[key]) for key in ("lowest_quarter", "inner_half", "tail")]
        rows.append([name, str(metrics["scored"]), f"{metrics['perplexity']:.1f}", quantiles,
                     *shares, log_ratio_text(position["spread"])])  # fmt: skip
    header = ["corpus", "tokens", "token perplexity", "of documents: 5 / 25 / 50 / 75 / 95 %",
              "in the lowest human quarter, %", "in the inner human half, %",
              "above the human 95 %, %", "interquartile range, log, to human"]  # fmt: skip
    return table(header, rows)


def _bins(corpora: dict[str, dict[str, Any]]) -> str:
    bins = [f"{i / 10:.1f}–{(i + 1) / 10:.1f}" for i in range(10)]
    header = ["token probability, % of tokens", *bins, "≥ .99", "≥ .999"]
    rows = []
    for name, row in corpora.items():
        metrics = row["metrics"]
        shares = [f"{100 * share:.1f}" for share in metrics["histogram"]]
        shares.append(estimate_text(row["near_certain"], 2, 100))
        rows.append([name, *shares, f"{100 * metrics['share_above_999']:.2f}"])
    return table(header, rows)


def _measures(words: dict[str, Any]) -> str:
    header = ["corpus", "types a word, %", "entropy, bits", "Zipf slope", "distinct pairs, %",
              "distinct triples, %", "runs of four in another document, %"]  # fmt: skip
    rows = []
    for name, row in words["measures"].items():
        entropy, slope = estimate_text(row["entropy"]), estimate_text(row["zipf_slope"])
        shares = [percent(row[key]) for key in ("distinct_2", "distinct_3", "self_repetition")]
        rows.append([name, percent(row["type_token_ratio"]), entropy, slope, *shares])
    return table(header, rows)


def _distances(words: dict[str, Any]) -> str:
    rows = []
    for name, distance in words["distance"].items():
        excess, remaining = words["excess"].get(name), words["unrepaired"].get(name)
        entropies = words["entropy"][name].values()
        rows.append(
            [name, estimate_text(distance, 3),
             "" if excess is None else estimate_text(excess, 4, 1, True),
             "" if remaining is None else percent(remaining),
             *("" if entropy is None else f"{entropy:.2f}" for entropy in entropies)]
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
    densities = values["density"].get("corpora", {})
    rows = []
    for name in values["corpora"]:
        if name in values["map"] or name in densities:
            quartiles = densities[name]["quartiles"] if name in densities else []
            purity = percent(values["map"][name]["purity"]) if name in values["map"] else ""
            rows.append([name, " / ".join(f"{value:.2g}" for value in quartiles), purity])
    header = ["corpus", "density response, quartiles", "nearest neighbours of its own kind, %"]
    tables = [table(header, rows)] if rows else []
    selections = []
    for name, selection in values["selections"].items():
        metrics = selection["metrics"]
        documents = f"{metrics['chosen_documents']} of {metrics['documents']}"
        size = f"{metrics['chosen_mean_characters']:.0f} ({metrics['mean_characters']:.0f})"
        selections.append([name, documents, size])
    if selections:
        header = ["selection", "documents", "characters a document (all)"]
        tables.append(table(header, selections))
    return tables


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
        missing = max(pairs["missing"] for pairs in values["words"]["pairs"].values())
        if missing:
            sentences.append(f"Counts of pairs lack at most {missing}.")
    return " ".join(filter(None, sentences))
