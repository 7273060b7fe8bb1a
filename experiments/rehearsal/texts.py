"""Stand-ins for data sets of the hub: files of their layout, format and columns, with other text.

:data:`DATA` describes the published data sets, independently of what a configuration expects of
them, so that a misspelled column or path fails in a rehearsal as it would on the hub. Human text is
embedded passages and conversations, synthetic text is the shipped file. Every text ends in a line
of repeated marks, for which tiny models assign near-certain tokens.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import count, islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zipfile import ZipFile

import pyarrow as pa
import pyarrow.parquet as pq

from evals import domains
from evals.instructions import conversations
from experiments.stage import digest
from experiments.stages.domains import SHIPPED_FILE
from toedit.corpora.conversations import MESSAGES
from toedit.corpora.remote import addresses, opened
from toedit.embedded import cache_folder, once
from toedit.errors import UserError, suggest

PASSAGE = 700
"""Characters of a text, at most."""

TALK = 450
"""Characters of a conversation, so that it fits in a block."""

MARKS = "\n\n" + " *" * 12
"""A line between sections of a text, as people write it."""

FOLDER = "rehearsal-texts-2"
"""In the cache; its number is raised when the files change."""

Row = dict[str, Any]


@lru_cache(maxsize=1)
def passages() -> list[str]:
    """Human text: passages of Wikipedia that no benchmark of the experiments quotes."""
    return [passage.text[:PASSAGE] for passage in domains.passages("wikipedia")]


@lru_cache(maxsize=1)
def talks() -> list[list[dict[str, str]]]:
    """Human conversations that are short enough for a block."""
    talks = (document.metadata[MESSAGES] for document in conversations("explanations"))
    return [talk for talk in talks if sum(len(turn["content"]) for turn in talk) < TALK]


@lru_cache(maxsize=1)
def synthetic_texts() -> list[str]:
    """The synthetic text that the project ships."""
    return pq.read_table(SHIPPED_FILE, columns=["text"])["text"].to_pylist()


Rows = Callable[[Iterator[int]], Iterator[Row]]
"""Makes rows of a data set from their numbers."""


def human(**columns: Callable[[int], Any]) -> Rows:
    """Rows of human ``text``, with other columns computed from the number of the row."""

    def rows(numbers: Iterator[int]) -> Iterator[Row]:
        for number in numbers:
            text = passages()[number % len(passages())] + MARKS
            yield {name: value(number) for name, value in columns.items()} | {"text": text}

    return rows


def synthetic(numbers: Iterator[int]) -> Iterator[Row]:
    """Rows of Cosmopedia, which have no id."""
    for number in numbers:
        text = synthetic_texts()[number % len(synthetic_texts())] + MARKS
        yield {"prompt": "Write.", "text": text, "seed_data": "web", "format": "blogpost"}


def answered(
    prompt: str, response: str, system: str | None = None, **columns: Callable[[int], Any]
) -> Rows:
    """Rows of a prompt and a response, in columns of these names, with other columns."""

    def rows(numbers: Iterator[int]) -> Iterator[Row]:
        for number in numbers:
            question, answer = talks()[number % len(talks())]
            row = {name: value(number) for name, value in columns.items()}
            if system is not None:
                row[system] = ["", "Answer the question."][number % 2]
            yield row | {prompt: question["content"], response: answer["content"] + MARKS}

    return rows


def messages(numbers: Iterator[int]) -> Iterator[Row]:
    """Rows of the LESS collection."""
    for number in numbers:
        question, answer = talks()[number % len(talks())]
        talk = [question, {**answer, "content": answer["content"] + MARKS}]
        yield {"dataset": "less", "id": f"less_{number}", "messages": talk}


def source_index(numbers: Iterator[int]) -> Iterator[Row]:
    """Rows of an index of shards, which hold no text."""
    for number in numbers:
        yield {"source": f"part-{number + 1}", "source_lang": "en", "weight": 1.0}


@dataclass(frozen=True)
class File:
    """A file of a data set: its path, number of rows, and their maker.

    A path of two parts around ``::`` is a file in an archive, and the archive.
    """

    path: str
    number: int
    rows: Rows


PILE = ("ArXiv", "Enron Emails", "Pile-CC")
DOLMA = ("v1_5r2_sample-0000.json.gz", "v1_5r2_sample-0001.json.gz")
PALOMA = ("wikitext_103", "redpajama", "falcon-refinedweb", "c4_en", "mc4",
          "m2d2_wikipedia_unsplit", "m2d2_s2orc_unsplit")  # fmt: skip
TEXTS = human(id=lambda i: str(i))
DATA: dict[str, list[File]] = {
    "allenai/dolma": [
        File(name, 150, human(id=lambda i: f"d{i}", source=lambda i: "cc",
                              metadata=lambda i: {"length": i} if i % 2 else None))
        for name in DOLMA
    ],
    "allenai/paloma": [
        File(f"{part}/val/val-00000000.jsonl.gz", 6, human(id=lambda i: str(i),
                                                           subdomain=lambda i: "x"))
        for part in PALOMA
    ],
    "HuggingFaceTB/cosmopedia": [
        File(f"data/{part}/train-00000-of-00001.parquet", 150, synthetic)
        for part in ("stories", "wikihow")
    ],
    "mit-han-lab/pile-val-backup": [
        File("val.jsonl.zst", 18, human(meta=lambda i: {"pile_set_name": PILE[i % 3]})),
    ],
    "instruction-pretrain/medicine-instruction-augmented-corpora": [
        File("json/train.json", 2, source_index),
        File("part-1/shard/00000.jsonl", 100, TEXTS),
        File("part-2/shard/00000.jsonl", 100, TEXTS),
    ],
    "open-web-math/open-web-math": [
        File("data/train-00000-of-00001.parquet", 200,
             human(url=lambda i: f"https://a/{i}", date=lambda i: "2023", metadata=lambda i: "{}")),
    ],
    "princeton-nlp/less_data": [
        File(f"data/train/processed/{part}/{part}_data.jsonl::less-data.zip", 200, messages)
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
                      id=lambda i: f"task001-{i // 2}")),
    ],
    "Open-Orca/OpenOrca": [
        File("1M-GPT4-Augmented.parquet", 200,
             answered("question", "response", "system_prompt", id=lambda i: f"niv.{i // 2}")),
    ],
}  # fmt: skip
"""Data sets as published; the text column of instruction-pretrain's shards is assumed."""

LISTS = {"allenai/dolma": ("urls/v1_6-sample.txt", DOLMA)}
"""Files that list other files: their path and their entries."""


def data_set(name: str, field: str) -> Path:
    """The folder of a data set's stand-in, written once.

    Args:
        name: hub id of the data set.
        field: configuration field that names it.

    Raises:
        UserError: it is unknown here.
    """
    if name not in DATA:
        raise UserError(
            f"rehearse=true knows no data set {name!r} ({field}) without the hub; "
            f"{suggest(name, DATA)}"
        )
    return once(FOLDER, _write_all) / name


def _write_all(folder: Path) -> None:
    for name, files in DATA.items():
        numbers = count()  # so that no text of a data set occurs twice
        for file in files:
            rows = file.rows(islice(numbers, file.number))
            _write(folder / name, file.path, list(rows))
    for name, (path, entries) in LISTS.items():
        (folder / name / path).parent.mkdir(parents=True, exist_ok=True)
        final = cache_folder() / FOLDER / name  # the folder is renamed to this when it is complete
        (folder / name / path).write_text("".join(f"{final / entry}\n" for entry in entries))


def _write(folder: Path, name: str, rows: list[Row]) -> None:
    """Write rows in the format of the file name."""
    member, _, archive = name.partition("::")
    path = folder / (archive or name)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
        return
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    if archive:
        with ZipFile(path, "a") as file:
            file.writestr(member, lines)
        return
    with pa.output_stream(str(path)) as stream:  # compresses by the suffix
        stream.write(lines.encode())


DOCUMENTS = 300


def head(pattern: str) -> Path:
    """Copy the first documents of the first file that a pattern matches, once.

    Args:
        pattern: an address, as for :func:`toedit.corpora.remote.addresses`.

    Raises:
        UserError: it matches no file, or its host cannot be reached.
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
        with pa.output_stream(str(folder / name)) as copy:
            copy.write(_first_lines(text))


def _first_lines(stream: Any) -> bytes:
    """The first :data:`DOCUMENTS` lines of a binary stream."""
    text = b""
    while text.count(b"\n") < DOCUMENTS and (block := stream.read(1 << 16)):
        text += block
    return b"\n".join(text.split(b"\n")[:DOCUMENTS]) + b"\n" if text else b""
