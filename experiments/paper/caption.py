"""The fine print of a report: what the arms learned, what text that was, what the errors mean."""

from __future__ import annotations

from typing import Any

from experiments.paper.comparison import detectable_spreads
from experiments.paper.controls import span

PACKED = ("records", "learned", "padding", "cut", "left_out")
"""Counts of conversations, of :func:`toedit.corpora.packing.pack_examples`."""


def caption(values: dict[str, Any]) -> str:
    """The paragraph under the tables."""
    corpus, seeds = values["corpus"], values["seeds"]
    sentences = [values["note"]] if values["note"] else []
    failed = max((editing["failed"] for editing in values["editing"].values()), default=0)
    if failed:
        sentences.append(f"{failed} documents could not be scored and stand unedited in every arm.")
    if values["training"]:
        sentences += _training(values["training"], len(seeds) > 1)
    sentences.append(
        f"Corpus: {corpus['train_documents']} training documents ({corpus['train_characters']} "
        f"characters) of {corpus['train_available']}; {_overlap(corpus)}."
    )
    extra = values["extra"]
    if extra is not None:
        sentences.append(
            f"Second text: {extra['train_documents']} documents ({extra['train_characters']} "
            f"characters) of {extra['train_available']}, never edited; {_overlap(extra)}."
        )
    sentences.append("Each row says how many items of the whole benchmark it rests on.")
    return " ".join([*sentences, *(_over_seeds(values) if len(seeds) > 1 else [OVER_ITEMS])])


OVER_ITEMS = (
    "± is one standard error. The interval is a paired bootstrap over items; detectable is the "
    "smallest true difference that these items would find with 80 % power. Both speak of the "
    "choice of items, not of seeds: there is one training run an arm."
)


def _over_seeds(values: dict[str, Any]) -> list[str]:
    """What several seeds can show."""
    seeds = values["seeds"]
    sentences = [
        f"Every seed draws the edits and the order of training anew. A cell is the mean over "
        f"{len(seeds)} seeds ± their standard deviation; base is evaluated once. A difference is "
        "the mean of those within each seed, with Student's interval over them; detectable is the "
        f"smallest true difference that {len(seeds)} seeds of this spread would find with about "
        f"80 % power: {detectable_spreads(len(seeds)):.1f} standard deviations of the differences. "
        "Both speak of seeds, on this text and these items; results.json holds the differences by "
        f"seed, and the bootstrap over items of seed {seeds[0]} (over_items)."
    ]
    if any(row["difference"] and row["difference"]["low"] is None for row in values["rows"]):
        sentences.append(
            "Where the interval is empty every seed differs by the same, which says nothing of "
            "further seeds."
        )
    return sentences


def _training(training: dict[str, dict[str, Any]], many: bool) -> list[str]:
    """How much the arms learned, and whether it was the same for all."""
    one = next(iter(training.values()))
    again = ", once a seed" if many else ""
    steps = f"Each arm was trained for {one['steps']} steps on {one['tokens']} tokens{again}"
    second = one.get("extra_tokens", 0)
    if second:
        share = f"{100 * second / one['tokens']:.1f}"
        steps += f", of which {second} ({share} %) are of a second text"
    if "records" not in one:
        return [f"{steps}."]
    arms: dict[str, list[dict[str, Any]]] = {}
    for name, run in training.items():
        arms.setdefault(name.partition("-seed")[0], []).append(run)
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


def _overlap(corpus: dict[str, Any]) -> str:
    """Documents that share text with benchmark items, and what became of them."""
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
