"""Stand-ins for data sets of the hub: files of their layout, format and columns, with other text.

:data:`DATA` says what is known of each data set, whatever a configuration expects of it, so that a
misspelled column or path fails in a rehearsal as it would on the hub. Human text is embedded
passages and conversations, synthetic text what is shipped. Every text ends in a line of repeated
marks, which tiny models are certain of.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import count, islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from experiments.stage import digest
from toedit.corpora.remote import addresses, opened
from toedit.embedded import cache_folder, once
from toedit.errors import UserError, suggest

REV = 1
"""Raised when what is written here changes."""

PASSAGE = 700
"""Characters of a text."""

TALK = 450
"""Characters of a conversation, so that it fits in a block."""

MARKS = "\n\n" + " *" * 12
"""A line between sections of a text, as people write it."""

FOLDER = f"rehearsal-texts-{REV}"

Row = dict[str, Any]


@lru_cache(maxsize=1)
def passages() -> list[str]:
    """Human text: passages of Wikipedia that no benchmark of the experiments asks about."""
    from evals.domains import passages as of

    return [passage.text[:PASSAGE] for passage in of("wikipedia")]


@lru_cache(maxsize=1)
def talks() -> list[list[dict[str, str]]]:
    """Human conversations that are short enough for a block."""
    from evals.instructions import conversations
    from toedit.corpora.conversations import MESSAGES

    found = (document.metadata[MESSAGES] for document in conversations("explanations"))
    return [talk for talk in found if sum(len(turn["content"]) for turn in talk) < TALK]


@lru_cache(maxsize=1)
def written() -> list[str]:
    """Synthetic text, as the project ships it."""
    import pyarrow.parquet as pq

    from experiments.stages.domains import SHIPPED_FILE

    return pq.read_table(SHIPPED_FILE, columns=["text"])["text"].to_pylist()


def tokenizer_text() -> list[str]:
    """What tokenizers are trained on."""
    return passages()[:400]


Rows = Callable[[Iterator[int]], Iterator[Row]]
"""Makes rows of a data set of running numbers; no text is given out twice."""


def plain(**more: Callable[[int], Any]) -> Rows:
    """Rows of human ``text`` with other columns."""

    def rows(numbers: Iterator[int]) -> Iterator[Row]:
        for number in numbers:
            text = passages()[number % len(passages())] + MARKS
            yield {name: make(number) for name, make in more.items()} | {"text": text}

    return rows


def synthetic(numbers: Iterator[int]) -> Iterator[Row]:
    """Rows of Cosmopedia, which have no id."""
    for number in numbers:
        text = written()[number % len(written())] + MARKS
        yield {"prompt": "Write.", "text": text, "seed_data": "web", "format": "blogpost"}


def answered(
    prompt: str, response: str, system: str | None = None, **more: Callable[[int], Any]
) -> Rows:
    """Rows of a prompt and a response, by the names of their columns."""

    def rows(numbers: Iterator[int]) -> Iterator[Row]:
        for number in numbers:
            asked, answer = talks()[number % len(talks())]
            own = {name: make(number) for name, make in more.items()}
            own |= {} if system is None else {system: ["", "Answer the question."][number % 2]}
            yield own | {prompt: asked["content"], response: answer["content"] + MARKS}

    return rows


def messages(numbers: Iterator[int]) -> Iterator[Row]:
    """Rows of the LESS collection."""
    for number in numbers:
        asked, answer = talks()[number % len(talks())]
        talk = [asked, {**answer, "content": answer["content"] + MARKS}]
        yield {"dataset": "less", "id": f"less_{number}", "messages": talk}


@dataclass(frozen=True)
class File:
    """A file of a data set: its place there, how many rows, and what they hold."""

    path: str
    number: int
    rows: Rows


PILE = ("ArXiv", "Enron Emails", "Pile-CC")
DOLMA = ("v1_6-sample-0000.json.gz", "v1_6-sample-0001.json.gz")
PALOMA = ("wikitext_103", "redpajama", "falcon-refinedweb", "c4_en", "mc4",
          "m2d2_wikipedia_unsplit", "m2d2_s2orc_unsplit")  # fmt: skip
TEXTS = plain(id=lambda i: str(i))
DATA: dict[str, list[File]] = {
    "allenai/dolma": [
        File(name, 150, plain(id=lambda i: f"d{i}", source=lambda i: "cc",
                              metadata=lambda i: {"length": i} if i % 2 else None))
        for name in DOLMA
    ],
    "allenai/paloma": [
        File(f"{part}/val/val-00000000.jsonl.gz", 6, plain(id=lambda i: str(i),
                                                           subdomain=lambda i: "x"))
        for part in PALOMA
    ],
    "HuggingFaceTB/cosmopedia": [
        File(f"data/{part}/train-00000-of-00001.parquet", 150, synthetic)
        for part in ("stories", "wikihow")
    ],
    "mit-han-lab/pile-val-backup": [
        File("val.jsonl.zst", 18, plain(meta=lambda i: {"pile_set_name": PILE[i % 3]})),
    ],
    "instruction-pretrain/medicine-instruction-augmented-corpora": [
        File("train.jsonl", 200, TEXTS)
    ],
    "instruction-pretrain/finance-instruction-augmented-corpora": [
        File("train.jsonl", 200, TEXTS)
    ],
    "open-web-math/open-web-math": [
        File("data/train-00000-of-00001.parquet", 200,
             plain(url=lambda i: f"https://a/{i}", date=lambda i: "2023", metadata=lambda i: "{}")),
    ],
    "princeton-nlp/less_data": [
        File(f"train/processed/{part}/{part}_data.jsonl", 200, messages)
        for part in ("cot", "flan_v2", "oasst1", "dolly")
    ],
    "ise-uiuc/Magicoder-Evol-Instruct-110K": [
        File("data-evol_instruct-decontaminated.jsonl", 200, answered("instruction", "response")),
    ],
    "ise-uiuc/Magicoder-OSS-Instruct-75K": [
        File("data-oss_instruct-decontaminated.jsonl", 200,
             answered("problem", "solution", lang=lambda i: "python", index=lambda i: i,
                      seed=lambda i: "x")),
    ],
    "Muennighoff/natural-instructions": [
        File("train/task001_train.jsonl", 200,
             answered("inputs", "targets", "definition", task_name=lambda i: "task001",
                      id=lambda i: f"task001-{i}")),
    ],
    "Open-Orca/OpenOrca": [
        File("1M-GPT4-Augmented.parquet", 200,
             answered("question", "response", "system_prompt", id=lambda i: f"niv.{i}")),
    ],
}  # fmt: skip
"""Data sets as they are published. Not looked up, but taken from the configuration: the columns of
the two of instruction-pretrain."""

LISTS = {"allenai/dolma": ("urls/v1_6-sample.txt", DOLMA)}
"""Files that list others, by where they are."""


def data_set(name: str, what: str) -> Path:
    """The folder of a data set's stand-in, written once.

    Args:
        name: its hub id.
        what: the field that names it.

    Raises:
        UserError: it is unknown here.
    """
    if name not in DATA:
        raise UserError(
            f"rehearse=true knows no data set {name!r} ({what}) without the hub; "
            f"{suggest(name, DATA)}"
        )
    return once(FOLDER, _write_all) / name


def _write_all(folder: Path) -> None:
    for name, files in DATA.items():
        numbers = count()
        for file in files:
            rows = file.rows(islice(numbers, file.number))
            _write(folder / name / file.path, list(rows))
    for name, (path, listed) in LISTS.items():
        place = folder / name / path
        place.parent.mkdir(parents=True, exist_ok=True)
        own = cache_folder() / FOLDER / name  # where this folder is going to be
        place.write_text("".join(f"{own / entry}\n" for entry in listed))


def _write(path: Path, rows: list[Row]) -> None:
    """Rows as a file of the format that its name says."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
        return
    codec = {".gz": "gzip", ".zst": "zstd"}.get(path.suffix)
    with pa.output_stream(str(path), compression=codec) as stream:
        stream.write("".join(json.dumps(row) + "\n" for row in rows).encode())


DOCUMENTS = 300


def head(pattern: str) -> Path:
    """A copy of the first documents of the first file that a pattern stands for, made once.

    Args:
        pattern: an address, as :func:`toedit.corpora.remote.addresses` takes it.

    Raises:
        UserError: it stands for no file, or its place cannot be reached.
    """
    first = addresses([pattern])[0]
    name = Path(urlsplit(first).path).name
    folder = once(f"rehearsal-head-{digest([first, DOCUMENTS])}", partial(_copy, first, name))
    return folder / name


def _copy(address: str, name: str, folder: Path) -> None:
    with opened(address) as stream:
        if name.endswith(".parquet"):
            batch = next(pq.ParquetFile(stream).iter_batches(DOCUMENTS))
            pq.write_table(pa.Table.from_batches([batch]), folder / name)
            return
        codec = {".gz": "gzip", ".zst": "zstd"}.get(Path(name).suffix)
        source: Any = pa.PythonFile(stream, "r")
        text = pa.CompressedInputStream(source, codec) if codec else source
        with pa.output_stream(str(folder / name), compression=codec) as copy:
            copy.write(_lines(text))


def _lines(text: Any) -> bytes:
    """The first lines of a text."""
    read = b""
    while read.count(b"\n") < DOCUMENTS and (block := text.read(1 << 16)):
        read += block
    return b"\n".join(read.split(b"\n")[:DOCUMENTS]) + b"\n" if read else b""
