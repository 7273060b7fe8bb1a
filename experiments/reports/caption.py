"""Generate the caption of a report page: training, corpora and the meaning of the errors."""

from typing import Any

from experiments.analysis.estimate import Estimate
from experiments.reports.controls import span
from experiments.reports.format import cut_text, legend

HELD_OUT_IS_SOURCE = ("train_on_edits", "sft_generations", "pretrain_toedit", "continue_scratch")
"""Plans whose held-out text is source text."""

PACKED = ("records", "learned", "padding", "cut", "left_out")
"""Counts of conversations, of :func:`toedit.corpora.packing.pack_examples`."""


def caption(values: dict[str, Any]) -> str:
    """Write the paragraph under the tables from :func:`experiments.reports.arms.results`."""
    seeds = values["seeds"]
    sentences = [values["note"]] if values["note"] else []
    failed = max((editing["failed"] for editing in values["editing"].values()), default=0)
    if failed:
        sentences.append(f"{failed} documents could not be scored and stand unedited in every arm.")
    if values["training"]:
        sentences += _training(values["training"], len(seeds) > 1)
    sentences += _mixtures(values)
    sentences += [_corpus(name, metrics) for name, metrics in values["corpora"].items()]
    sentences += [_estimates(values), _cut(values)]
    if values["plan"] in HELD_OUT_IS_SOURCE:
        sentences.append("What is held out is source text, which favours training on the source.")
    return " ".join(filter(None, sentences))


def _estimates(values: dict[str, Any]) -> str:
    """Explain ±, intervals and p values by the methods that were used."""
    rows = [*values["rows"], *(row for point in values["checkpoints"] for row in point["rows"])]
    levels = [level for row in rows for level in row["arms"].values()]
    pairs = [pair for row in rows for pair in row.get("controls", {}).values()]
    differences = [d for row in rows for d in row["differences"].values()]
    differences += [d for pair in pairs for d in pair.values()]
    differences += [d for row in rows for d in row.get("contrasts", {}).values()]
    differences += [row["change"] for row in values["shares"]]
    present = [Estimate.from_json(difference) for difference in differences if difference]
    text = legend(map(Estimate.from_json, levels), present)
    corrected = " p is not corrected for the number of rows; the paper's tables correct it."
    return text + corrected if present else text


def _cut(values: dict[str, Any]) -> str:
    """Say whether items were cut; of an arm that was not counted too, beside one that was."""
    rows = [*values["rows"], *(row for point in values["checkpoints"] for row in point["rows"])]
    counts = [row["cut"].get(arm) for row in rows if "cut" in row for arm in row["arms"]]
    return cut_text(counts, ": [… cut]")


def _training(training: dict[str, dict[str, Any]], many: bool) -> list[str]:
    """Amount of training of each arm, or of all where it is the same."""
    arms: dict[str, list[dict[str, Any]]] = {}
    lengths: dict[str, dict[str, None]] = {}
    for run in training.values():
        arms.setdefault(run["arm"], []).append(run)
        length = f"{run['steps']} steps on {run['tokens']} tokens"
        lengths.setdefault(length, {})[run["arm"]] = None
    again = ", once a seed" if many else ""
    if len(lengths) > 1:
        each = "; ".join(f"{', '.join(names)} for {length}" for length, names in lengths.items())
        return [f"Arms were trained{again}: {each}."]
    steps = f"Each arm was trained for {next(iter(lengths))}{again}"
    first = next(iter(training.values()))
    extra = first.get("extra_tokens", 0)
    if extra:
        share = f"{100 * extra / first['tokens']:.1f}"
        steps += f", of which {extra} ({share} %) are of a second text"
    if "records" not in first:
        return [f"{steps}."]
    packed = {arm: _packed(runs) for arm, runs in arms.items()}
    if len(set(packed.values())) == 1:
        return [f"{steps}.", f"Of the corpus every arm learned {packed[first['arm']]}."]
    each = "; ".join(f"{arm} {counts}" for arm, counts in packed.items())
    return [f"{steps}.", f"Of the corpus the arms did not learn the same amount: {each}."]


def _packed(runs: list[dict[str, Any]]) -> str:
    """Counts of records and tokens of an arm over its seeds."""
    counts = {name: span([run[name] for run in runs]) for name in PACKED}
    shares = [100 * run["padding"] / (run["tokens"] - run.get("extra_tokens", 0)) for run in runs]
    return (
        f"{counts['learned']} tokens of {counts['records']} records (padding "
        f"{span([f'{share:.2f}' for share in shares])} %, {counts['cut']} cut, "
        f"{counts['left_out']} left out)"
    )


def _mixtures(values: dict[str, Any]) -> list[str]:
    """Size of the mixtures, meaning of the ratio, and the tokenizer."""
    sentences = []
    learned = [name for name in values["mixtures"] if name in values["training"]]
    if learned:
        mixed = values["mixtures"][learned[0]]["tokens"]
        tokens = values["training"][learned[0]]["tokens"]
        sentences.append(f"A mixture holds {mixed} tokens, learned {tokens / mixed:.3g} times.")
    if values["ratios"]:
        sentences.append(
            "The ratio is the share of synthetic tokens, human domains share the rest equally; the "
            "arms of 0 and 100 % saw one kind only, whatever the rows are called. Slope and "
            "curvature are the coefficients of a line and of a parabola over the ratio, fitted "
            "seed by seed."
        )
    tokenizer = values["tokenizer"] or {}
    if kinds := tokenizer.get("characters_per_token"):
        sentences.append(
            f"The tokenizer ({tokenizer['vocabulary']} tokens) was trained on equal parts of both "
            f"kinds: {kinds['human']:.2f} characters a token of human and {kinds['synthetic']:.2f} "
            "of synthetic text, so compare kinds in bits per byte."
        )
    return sentences


def _corpus(name: str, corpus: dict[str, Any]) -> str:
    """Describe the size of a corpus and its overlap with benchmark items in a sentence."""
    if "dropped_synthetic_of_heldout_domains" in corpus:
        dropped = corpus["dropped_synthetic_of_heldout_domains"]
        return (
            f"{dropped} of {corpus['synthetic_documents']} synthetic documents were left out "
            "because their seed stands in a held-out domain."
        )
    if "train_documents" not in corpus:
        return ""
    size = f"{corpus['train_documents']}"
    start = {
        "extra": f"Second text: {size} documents",
        "measured": f"Text that is measured alone: {size} documents",
    }.get(name, f"Corpus: {size} training documents")
    of = f"({corpus['train_characters']} characters) of {corpus['train_available']}"
    unedited = ", never edited" if name == "extra" else ""
    return f"{start} {of}{unedited}; {_overlap(corpus)}."


def _overlap(corpus: dict[str, Any]) -> str:
    """Documents that share text with benchmark items, and whether they were dropped."""
    if not corpus["benchmark_items"]:
        return "overlap with benchmark items was not checked"
    text = f"overlap with {corpus['benchmark_items']} benchmark items"
    if corpus["removed"]:
        text = (
            f"dropped for {text}: {corpus['dropped_by_item_id']} by id, "
            f"{corpus['dropped_by_13gram']} by a shared 13-gram"
        )
    else:
        text += " was counted and nothing dropped"
    overlap = corpus.get("overlap", {})
    tasks = [
        f"{task} {counts['documents']} documents and {counts['items']} items"
        for task, counts in overlap.items()
        if counts["documents"]
    ]
    if tasks:
        text += f" (of {corpus['documents_read']} documents read: {', '.join(tasks)})"
    elif not corpus["removed"]:
        text += " (no shared 13-gram)"
    short = sum(counts.get("short", 0) for counts in overlap.values())
    return f"{text}; {short} items are shorter than that and not searched for" if short else text
