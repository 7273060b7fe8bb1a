"""Human and synthetic text by domain, in training and held-out parts that do not overlap.

Some human domains and some formats of synthetic text are held out whole: no mixture contains them,
so that a model's loss on them says more than whether it saw the domain.

A synthetic document was written after an extract of a human one, its seed. Seeds are never held
out, and synthetic text whose seed stands in a domain that is held out whole is left out.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from evals.clusters import CLUSTER
from evals.domains import DOMAINS, Passage, passages
from evals.items import item_texts
from experiments.config.pretraining import SHIPPED, MixtureConfig
from experiments.stage import Stage, StageConfig, StageContext, content_hash
from experiments.stages.corpus import HELD_OUT, TRAIN
from toedit import embedded
from toedit.corpora import sources, split
from toedit.corpora.documents import Reading, write_shards
from toedit.document import Document
from toedit.errors import UserError, require_choice

SYNTHETIC = "synthetic"
PASSAGE = "passage"
"""Source of a seed that is named by the id of its passage."""

SHIPPED_FILE = Path(__file__).parents[1] / "data" / "synthetic_smollm2.parquet"
READING = Reading(unpack=False)


@dataclass
class DomainsStage(StageConfig, kind="corpus"):
    """What is read and how it is split, and the revision of the embedded data."""

    domains: list[str]
    heldout_domains: list[str]
    heldout_formats: list[str]
    synthetic: list[str]
    heldout_share: float
    heldout_characters: int | None
    data: str
    benchmarks: list[str] = field(default_factory=list)
    remove_overlap: bool = True

    def run(self, context: StageContext) -> dict[str, Any]:
        """Writes ``train/`` and ``heldout/`` shards whose documents name their domain and kind."""
        synthetic = _synthetic(context.stage.runtime, self.heldout_formats)
        seeds = {_seed(d) for d in synthetic}
        texts = {domain: passages(domain) for domain in DOMAINS}
        human, seed_ids, allowed = [], set(), set()
        for domain in [*self.domains, *self.heldout_domains]:
            for passage in texts[domain]:
                used = seeds.intersection(_names(passage))
                if used and domain in self.heldout_domains:
                    continue
                metadata = {"domain": domain, "kind": "human"}
                if passage.article is not None:
                    metadata[CLUSTER] = passage.article
                human.append(Document(passage.id, passage.text, metadata))
                allowed |= used
                if used:
                    seed_ids.add(passage.id)
        known = {name for found in texts.values() for passage in found for name in _names(passage)}
        kept = [d for d in synthetic if _seed(d) in allowed or _seed(d) not in known]
        made = [replace(d, metadata={"domain": d.metadata["format"], "kind": SYNTHETIC,
                                     "seed": _seed(d)}) for d in kept]  # fmt: skip
        documents = human + made
        items = {task: item_texts(task) for task in self.benchmarks}
        dirty, overlap = split.overlap((d.text for d in documents), items)
        if self.remove_overlap:
            documents = [d for d, bad in zip(documents, dirty, strict=True) if not bad]
        counts: dict[str, Any] = {
            "human_documents": len(human),
            "synthetic_documents": len(synthetic),
            "synthetic_without_known_seed": sum(_seed(d) not in known for d in synthetic),
            "dropped_synthetic_of_heldout_domains": len(synthetic) - len(kept),
            "seeds": len(seed_ids),
            "benchmark_items": len({identity for own in items.values() for identity, _ in own}),
            "overlap": overlap,
            "dropped_by_13gram": sum(dirty) if self.remove_overlap else 0,
        }
        whole = {*self.heldout_domains, *self.heldout_formats}
        out = _held_out(documents, whole, seed_ids, self.heldout_share)
        order = split.shuffled([d.id for d in documents])
        for side in (TRAIN, HELD_OUT):
            chosen = [documents[i] for i in order if out[i] == (side == HELD_OUT)]
            if side == HELD_OUT:
                chosen = _limited(chosen, self.heldout_characters, whole)
            counts[f"{side}_sha256"] = write_shards(context.folder / side, chosen)
            counts[side] = {
                domain: {
                    "documents": number,
                    "characters": sum(
                        len(d.text) for d in chosen if d.metadata["domain"] == domain
                    ),
                }
                for domain, number in sorted(Counter(d.metadata["domain"] for d in chosen).items())
            }
        for domain in [*self.domains, *self.heldout_domains]:
            if domain not in counts[HELD_OUT]:
                raise UserError(
                    f"no held-out document of domain {domain!r}; raise mixture.heldout_share"
                )
        return counts


def stage(mixture: MixtureConfig, evaluated: list[str]) -> Stage:
    """The text of a mixture, without what the embedded tasks it is evaluated on contain."""
    path = SHIPPED_FILE if mixture.synthetic == SHIPPED else Path(mixture.synthetic)
    config = DomainsStage(
        sorted(mixture.domains),
        sorted(mixture.heldout_domains),
        sorted(mixture.heldout_formats),
        content_hash([str(path)]),
        mixture.heldout_share,
        mixture.heldout_characters,
        embedded.DATA.revision,
        sorted(evaluated),
        mixture.remove_overlap,
    )
    return Stage(config, "domains", runtime=str(path))


def _names(passage: Passage) -> list[tuple[str, str]]:
    """What a seed may call a passage."""
    return [*passage.items, (PASSAGE, passage.id)]


def _seed(document: Document) -> tuple[str, str]:
    """The human item after whose document a synthetic one was written."""
    return str(document.metadata["seed_source"]), str(document.metadata["seed_id"])


def _synthetic(path: str, heldout_formats: list[str]) -> list[Document]:
    """Synthetic documents of a file.

    Raises:
        UserError: it lacks a column, repeats an id, or a format is not in it or named as a domain.
    """
    found = list(sources.local_documents([path], READING))
    for name in ("format", "seed_source", "seed_id"):
        if not all(name in d.metadata for d in found):
            raise UserError(f"mixture.synthetic={path!r} has no column {name!r}")
    if len({d.id for d in found}) < len(found):
        raise UserError(f"mixture.synthetic={path!r} has two documents with the same id")
    formats = {d.metadata["format"] for d in found}
    if shared := sorted(formats & {*DOMAINS}):
        raise UserError(f"mixture.synthetic={path!r} names a format as a human domain: {shared[0]}")
    for name in heldout_formats:
        require_choice("mixture.heldout_formats", name, sorted(formats))
    return found


def _held_out(
    documents: list[Document], whole: set[str], seeds: set[str], share: float
) -> list[bool | None]:
    """Held out (True), trained on (False), or dropped (None) for what the other side holds."""
    # Synthetic documents of one seed go to the same side.
    siblings = [document.metadata.get("seed") for document in documents]
    groups = split.connected_groups([d.text for d in documents], keys=siblings)
    out = split.held_out_mask([d.id for d in documents], groups, share)
    fixed = {g for d, g in zip(documents, groups, strict=True) if d.id in seeds}
    sides: list[bool | None] = []
    members: dict[int, set[bool]] = {}
    for document, group in zip(documents, groups, strict=True):
        members.setdefault(group, set()).add(document.metadata["domain"] in whole)
    for document, group, held in zip(documents, groups, out, strict=True):
        if document.metadata["domain"] in whole:
            # A group that training text shares too would leak: its held-out part goes.
            sides.append(True if members[group] == {True} else None)
        elif group in fixed or (False in members[group] and len(members[group]) > 1):
            sides.append(False)
        else:
            sides.append(held)
    return sides


def _limited(documents: list[Document], characters: int | None, whole: set[str]) -> list[Document]:
    """At most so many characters a domain, with what stands in no mixture marked."""
    taken: Counter[str] = Counter()
    kept = []
    for document in documents:
        domain = document.metadata["domain"]
        if characters is None or taken[domain] < characters:
            taken[domain] += len(document.text)
            metadata = {**document.metadata, "seen": domain not in whole}
            kept.append(replace(document, metadata=metadata))
    return kept
