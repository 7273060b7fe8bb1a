"""The fine print of a page: what the arms learned, what text that was, what the errors mean."""

from typing import Any

from experiments.analysis.estimate import Estimate
from experiments.reports.controls import span
from experiments.reports.format import legend

PACKED = ("records", "learned", "padding", "cut", "left_out")
"""Counts of conversations, of :func:`toedit.corpora.packing.pack_examples`."""


def caption(values: dict[str, Any]) -> str:
    """The paragraph under the tables."""
    seeds = values["seeds"]
    sentences = [values["note"]] if values["note"] else []
    failed = max((editing["failed"] for editing in values["editing"].values()), default=0)
    if failed:
        sentences.append(f"{failed} documents could not be scored and stand unedited in every arm.")
    if values["training"]:
        sentences += _training(values["training"], len(seeds) > 1)
    sentences += _mixtures(values)
    sentences += [_corpus(name, found) for name, found in values["corpora"].items()]
    sentences.append(estimates(values))
    if values["plan"] in (
        "train_on_edits",
        "sft_generations",
        "pretrain_toedit",
        "continue_scratch",
    ):
        sentences.append("What is held out is source text, which favours training on the source.")
    return " ".join(filter(None, sentences))


def estimates(values: dict[str, Any]) -> str:
    """What ±, intervals and p values mean, from the methods that were used."""
    rows = [*values["rows"], *(row for point in values["checkpoints"] for row in point["rows"])]
    levels = [Estimate.from_json(own) for row in rows for own in row["arms"].values()]
    found = [own for row in rows for own in row["differences"].values()]
    found += [own for row in rows for pair in row.get("controls", {}).values()
              for own in pair.values() if own]  # fmt: skip
    found += [own for row in rows for own in row.get("contrasts", {}).values()]
    found += [row["change"] for row in values["shares"] if row["change"]]
    text = legend(levels, [Estimate.from_json(own) for own in found])
    corrected = " p is not corrected for the number of rows; the paper's tables correct it."
    return text + corrected if found else text


def _training(training: dict[str, dict[str, Any]], many: bool) -> list[str]:
    """How much the arms learned, and whether it was the same for all."""
    one = next(iter(training.values()))
    lengths: dict[str, list[str]] = {}
    for own in training.values():
        names = lengths.setdefault(f"{own['steps']} steps on {own['tokens']} tokens", [])
        names += [own["arm"]] if own["arm"] not in names else []
    again = ", once a seed" if many else ""
    if len(lengths) > 1:
        each = "; ".join(f"{', '.join(names)} for {long}" for long, names in lengths.items())
        return [f"Arms were trained{again}: {each}."]
    steps = f"Each arm was trained for {next(iter(lengths))}{again}"
    second = one.get("extra_tokens", 0)
    if second:
        share = f"{100 * second / one['tokens']:.1f}"
        steps += f", of which {second} ({share} %) are of a second text"
    if "records" not in one:
        return [f"{steps}."]
    arms: dict[str, list[dict[str, Any]]] = {}
    for own in training.values():
        arms.setdefault(own["arm"], []).append(own)
    packed = {arm: _packed(found) for arm, found in arms.items()}
    if len(set(packed.values())) == 1:
        return [f"{steps}.", f"Of the corpus every arm learned {packed[next(iter(packed))]}."]
    each = "; ".join(f"{arm} {counts}" for arm, counts in packed.items())
    return [f"{steps}.", f"Of the corpus the arms did not learn the same amount: {each}."]


def _packed(found: list[dict[str, Any]]) -> str:
    """Records of an arm, over its seeds."""
    counts = {name: span([run[name] for run in found]) for name in PACKED}
    shares = [100 * run["padding"] / (run["tokens"] - run.get("extra_tokens", 0)) for run in found]
    return (
        f"{counts['learned']} tokens of {counts['records']} records (padding "
        f"{span([f'{share:.2f}' for share in shares])} %, {counts['cut']} cut, "
        f"{counts['left_out']} left out)"
    )


def _mixtures(values: dict[str, Any]) -> list[str]:
    """What was mixed, and the tokenizer that cut it."""
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
    words = values["tokenizer"] or {}
    if kinds := words.get("characters_per_token"):
        sentences.append(
            f"The tokenizer ({words['vocabulary']} tokens) was trained on equal parts of both "
            f"kinds: {kinds['human']:.2f} characters a token of human and {kinds['synthetic']:.2f} "
            "of synthetic text, so compare kinds in bits per byte."
        )
    return sentences


def _corpus(name: str, corpus: dict[str, Any]) -> str:
    """A corpus in a sentence: its size, and documents that overlap with benchmark items."""
    if "dropped_synthetic_of_heldout_domains" in corpus:
        dropped = corpus["dropped_synthetic_of_heldout_domains"]
        return (
            f"{dropped} of {corpus['synthetic_documents']} synthetic documents were left out "
            "because their seed stands in a held-out domain."
        )
    if "train_documents" not in corpus:
        return ""
    size = f"{corpus['train_documents']}"
    if name == "extra":
        start = f"Second text: {size} documents"
    elif name == "measured":
        start = f"Text that is measured alone: {size} documents"
    else:
        start = f"Corpus: {size} training documents"
    of = f"({corpus['train_characters']} characters) of {corpus['train_available']}"
    never = ", never edited" if name == "extra" else ""
    return f"{start} {of}{never}; {_overlap(corpus)}."


def _overlap(corpus: dict[str, Any]) -> str:
    """Documents that share text with benchmark items, and whether they were dropped."""
    if not corpus["benchmark_items"]:
        return "overlap with benchmark items was not checked"
    items = f"overlap with {corpus['benchmark_items']} benchmark items"
    if corpus["removed"]:
        found = (
            f"dropped for {items}: {corpus['dropped_by_item_id']} by id, "
            f"{corpus['dropped_by_13gram']} by a shared 13-gram"
        )
    else:
        found = f"{items} was counted and nothing dropped"
    touched = [
        f"{task} {counts['documents']} documents and {counts['items']} items"
        for task, counts in corpus.get("overlap", {}).items()
        if counts["documents"]
    ]
    if touched:
        found += f" (of {corpus['documents_read']} documents read: {', '.join(touched)})"
    elif not corpus["removed"]:
        found += " (no shared 13-gram)"
    short = sum(counts.get("short", 0) for counts in corpus.get("overlap", {}).values())
    return f"{found}; {short} items are shorter than that and not searched for" if short else found
