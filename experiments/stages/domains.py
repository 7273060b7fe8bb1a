"""Split human and synthetic text by domain into training and held-out parts without overlap.

Some human domains and some formats of synthetic text are held out entirely: no mixture contains
them, so that a model's loss on them says more than whether it saw the domain.

A synthetic document was written after an extract of a human one, its seed. Seeds are never held
out. Synthetic text whose seed is in a domain that is held out entirely is left out.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import compress
from pathlib import Path
from typing import Any

from evals.clusters import CLUSTER
from evals.domains import DOMAINS, Passage, passages
from evals.items import item_texts
from experiments.config.pretraining import SHIPPED, MixtureConfig
from experiments.stage import Stage, StageConfig, StageContext
from experiments.stages.corpus import HELD_OUT, TRAIN
from toedit import embedded
from toedit.corpora import sources, split
from toedit.corpora.documents import Reading, write_shards
from toedit.document import Document
from toedit.errors import UserError, require_choice
from toedit.identity import content_hash

SYNTHETIC = "synthetic"
PASSAGE = "passage"
"""Source of a seed that is named by the id of its passage."""

SHIPPED_FILE = Path(__file__).parents[1] / "data" / "synthetic_smollm2.parquet"


@dataclass
class DomainsStage(StageConfig, kind="corpus"):
    """Texts, how they are split, and the revision of the embedded data."""

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
        """Write ``train/`` and ``heldout/`` shards, with domain and kind of every document."""
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
        known = {name for text in texts.values() for passage in text for name in _names(passage)}
        allowed_synthetic = [
            replace(d, metadata={"domain": d.metadata["format"], "kind": SYNTHETIC, "seed": seed})
            for d in synthetic
            if (seed := _seed(d)) in allowed or seed not in known
        ]
        documents = human + allowed_synthetic
        items = {task: item_texts(task) for task in self.benchmarks}
        ngrams = [split.ngrams(d.text) for d in documents]
        overlapping, overlap = split.overlap(ngrams, items)
        if self.remove_overlap:
            clean = [not bad for bad in overlapping]
            documents, ngrams = list(compress(documents, clean)), list(compress(ngrams, clean))
        counts: dict[str, Any] = {
            "human_documents": len(human),
            "synthetic_documents": len(synthetic),
            "synthetic_without_known_seed": sum(_seed(d) not in known for d in synthetic),
            "dropped_synthetic_of_heldout_domains": len(synthetic) - len(allowed_synthetic),
            "seeds": len(seed_ids),
            "benchmark_items": len({identity for task in items.values() for identity, _ in task}),
            "overlap": overlap,
            "dropped_by_13gram": sum(overlapping) if self.remove_overlap else 0,
        }
        unseen = {*self.heldout_domains, *self.heldout_formats}
        # Synthetic documents of one seed go to the same side.
        groups = split.connected_groups(ngrams, keys=[d.metadata.get("seed") for d in documents])
        held_out = _held_out(documents, groups, unseen, seed_ids, self.heldout_share)
        order = split.shuffled([d.id for d in documents])
        for side in (TRAIN, HELD_OUT):
            chosen = [documents[i] for i in order if held_out[i] == (side == HELD_OUT)]
            if side == HELD_OUT:
                chosen = _limited(chosen, self.heldout_characters, unseen)
            counts[f"{side}_sha256"] = write_shards(context.folder / side, chosen)
            lengths: dict[str, list[int]] = {}
            for document in chosen:
                lengths.setdefault(document.metadata["domain"], []).append(len(document.text))
            counts[side] = {
                domain: {"documents": len(sizes), "characters": sum(sizes)}
                for domain, sizes in sorted(lengths.items())
            }
        for domain in [*self.domains, *self.heldout_domains]:
            if domain not in counts[HELD_OUT]:
                raise UserError(
                    f"no held-out document of domain {domain!r}; raise mixture.heldout_share"
                )
        return counts


def stage(mixture: MixtureConfig, evaluated: list[str]) -> Stage:
    """The text of a mixture, without items of the embedded benchmarks it is evaluated on."""
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
    """Names by which a seed may refer to a passage: (data set, item) pairs, and its id."""
    return [*passage.items, (PASSAGE, passage.id)]


def _seed(document: Document) -> tuple[str, str]:
    """Source and id of the human text after which a synthetic document was written."""
    return str(document.metadata["seed_source"]), str(document.metadata["seed_id"])


def _synthetic(path: str, heldout_formats: list[str]) -> list[Document]:
    """Synthetic documents of a file.

    Raises:
        UserError: a column is missing, an id is repeated, a format is named as a human domain, or
            a held-out format does not occur.
    """
    documents = list(sources.local_documents([path], Reading(unpack=False)))
    for name in ("format", "seed_source", "seed_id"):
        if not all(name in d.metadata for d in documents):
            raise UserError(f"mixture.synthetic={path!r} has no column {name!r}")
    if len({d.id for d in documents}) < len(documents):
        raise UserError(f"mixture.synthetic={path!r} has two documents with the same id")
    formats = {d.metadata["format"] for d in documents}
    if shared := sorted(formats & {*DOMAINS}):
        raise UserError(f"mixture.synthetic={path!r} names a format as a human domain: {shared[0]}")
    for name in heldout_formats:
        require_choice("mixture.heldout_formats", name, sorted(formats))
    return documents


def _held_out(
    documents: list[Document], groups: list[int], unseen: set[str], seed_ids: set[str], share: float
) -> list[bool | None]:
    """Side of each document: held out (True), training (False), or None if it is dropped.

    Domains in ``unseen`` are held out entirely, documents in ``seed_ids`` are training text, and of
    the other connected groups a share is held out.
    """
    mask = split.held_out_mask([d.id for d in documents], groups, share)
    seed_groups = {g for d, g in zip(documents, groups, strict=True) if d.id in seed_ids}
    members: dict[int, set[bool]] = {}
    for document, group in zip(documents, groups, strict=True):
        members.setdefault(group, set()).add(document.metadata["domain"] in unseen)
    sides: list[bool | None] = []
    for document, group, held_out in zip(documents, groups, mask, strict=True):
        if document.metadata["domain"] in unseen:
            # A group that has training text as well would leak: its held-out part is dropped.
            sides.append(True if members[group] == {True} else None)
        else:
            sides.append(held_out and group not in seed_groups and True not in members[group])
    return sides


def _limited(documents: list[Document], characters: int | None, unseen: set[str]) -> list[Document]:
    """The first documents of each domain up to a number of characters, marked as ``seen`` unless
    their domain is held out entirely."""
    totals: Counter[str] = Counter()
    selected = []
    for document in documents:
        domain = document.metadata["domain"]
        if characters is None or totals[domain] < characters:
            totals[domain] += len(document.text)
            metadata = {**document.metadata, "seen": domain not in unseen}
            selected.append(replace(document, metadata=metadata))
    return selected
