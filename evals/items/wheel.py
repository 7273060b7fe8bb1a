"""Read the data wheel: documents of request files, rows of data sets, and their fixed order."""

import gzip
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from typing import Any

from toedit.embedded import data_folder

Item = dict[str, Any]


def request_documents(task: str, form: str) -> Iterator[dict[str, Any]]:
    """Read the documents of a request file, each once (the file repeats one for every answer)."""
    path = data_folder() / "oe_eval_tasks" / task / form / "requests.jsonl.gz"
    seen = set()
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            request = json.loads(line)
            if request["doc_id"] not in seen:
                seen.add(request["doc_id"])
                yield request["doc"]


def sciriff_contexts(source: str) -> Iterator[dict[str, Any]]:
    """Read the yes/no items of SciRIFF whose id begins with ``bioasq`` or ``pubmedqa``."""
    return (d for d in request_documents("sciriff_yesno", "mc_5shot") if d["id"].startswith(source))


def rows_of(name: str, split: str = "validation") -> Iterator[tuple[str, dict[str, Any]]]:
    """Read (id, row) of a split of a data set; rows without an id are numbered."""
    from datasets import load_from_disk

    folder = data_folder() / "hf_datasets" / name / split
    rows = load_from_disk(str(folder), keep_in_memory=True).to_list()
    for number, row in enumerate(rows):
        yield str(row.get("id", f"{name.partition('/')[0]}:{number}")), row


def subsets(name: str) -> list[str]:
    """List the subsets of a data set, by name."""
    return sorted(path.name for path in (data_folder() / "hf_datasets" / name).iterdir())


def id_hash(identity: str) -> str:
    """Hash an item's id, 64 hexadecimal digits."""
    return hashlib.sha256(identity.encode()).hexdigest()


def in_fixed_order(read: Callable[..., Iterable[Item]]) -> Callable[..., list[Item]]:
    """Decorate a reader of items to sort them by the hash of their id."""

    @wraps(read)
    def read_sorted(*arguments: Any) -> list[Item]:
        return sorted(read(*arguments), key=lambda item: id_hash(item["id"]))

    return read_sorted
