"""Corpora that are odd in every way: lines, files, columns, conversations."""

import gzip
import io
import json
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from .case import Case, Command, Entry, Fifo, Folder, Link, Zeros
from .columns import odd_table
from .odd import BROKEN, JSON, KEYS, NAMES, PLAIN, TEXTS, value
from .sandbox import NAMED

SUFFIXES = ("jsonl", "jsonl.gz", "jsonl.zst", "parquet", "txt")


def jsonl(random: Random, number: int) -> tuple[str, bytes]:
    """Lines around one odd value, key, text or line."""
    rows = [f'{{"id": "d{n}", "text": {json.dumps(PLAIN * 2)}, "year": {n}}}' for n in range(3)]
    odd = [
        *(f'{{"id": "x", "text": "a", "meta": {v}}}' for v in JSON),
        *(f'{{"id": "x", "text": {v}}}' for v in JSON),
        *(f'{{"id": {v}, "text": "quick"}}' for v in JSON),
        *(f'{{"id": "x", {json.dumps(k)}: {JSON[n % 9]}, "text": ""}}' for n, k in enumerate(KEYS)),
        *(json.dumps({"id": "x", "text": text}) for text in TEXTS),
        *(json.dumps({"id": text, "text": "quick"}, ensure_ascii=False) for text in TEXTS), *BROKEN,
        '{"id": "x", "text": "a", "text": "b"}', '{"id": "d0", "text": "twin"}',
        '{"text": "no id"}', '{"id": "x"}', "{}", "", "   ", "\t", "\r", "\u2028", "\x0c", "\ufeff",
        "\x1e",
    ]  # fmt: skip
    line = odd[number % len(odd)]
    rows.insert(random.choice((0, 1, 3)), line)
    if random.random() < 0.3:
        rows.insert(random.randrange(4), random.choice(odd))
    end = random.choice(("\n", "\n", "\n", "\r\n", "\r", "\n\n", "\n \n"))
    content = end.join(rows).encode("utf-8", "surrogatepass") + random.choice((b"", end.encode()))
    if random.random() < 0.15:
        content = random.choice(
            (b"\xef\xbb\xbf" + content, content.decode("utf-8", "replace").encode("utf-16"),
             content.replace(b"quick", b"qu\xe9ck\xff"), content + b"\xed\xa0\x80\n", content[:-9],
             content.replace(b"quick", b"qu\xf0\x9fck"), b"\n" * 5000 + content)
        )  # fmt: skip
    return f"jsonl around {line[:60]!r}", content


def mixed(random: Random) -> bytes:
    """JSON lines of records whose fields have any types."""
    keys = [*random.sample(KEYS, 3), "meta"]
    rows = [
        {
            "id": f"d{n}",
            "text": PLAIN,
            **{key: value(random) for key in keys if random.random() < 0.7},
        }
        for n in range(6)
    ]
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def conversation(random: Random) -> Any:
    """Messages, of which about one part is odd."""
    roles = ["system", "user", "assistant", "tool", "human", "gpt", "model", "", None, 3, "\ud800"]
    contents = [
        *TEXTS, None, 5, [], ["a"], [{"type": "text", "text": "quick"}], {"a": 1},
        [{"type": "image", "url": "x"}], [{"type": "text"}], [None], [{"text": None}],
    ]  # fmt: skip
    odd = [
        None,
        [],
        "text",
        1,
        {},
        [None],
        ["a"],
        [[]],
        [{}],
        [{"role": "user"}],
        [{"content": "a"}],
    ]
    if random.random() < 0.25:
        return random.choice(odd)
    role, content = random.choice((("role", "content"), ("from", "value")))
    turns: list[Any] = []
    for n in range(random.randrange(1, 6)):
        usual = random.random() < 0.7
        turn = {
            role: roles[1 + n % 2] if usual else random.choice(roles),
            content: PLAIN if usual or random.random() < 0.5 else random.choice(contents),
        }
        if random.random() < 0.2:
            turn[random.choice(("tool_calls", "name", "weight", "role", "value", ""))] = value(
                random
            )
        turns.append(turn if random.random() < 0.95 else random.choice(odd))
    return turns


def damaged(random: Random, content: bytes) -> bytes:
    """A file after an accident."""
    cut = random.randrange(len(content) + 1)
    middle = bytes(random.randrange(256) for _ in range(20))
    return random.choice(
        (b"", content[:cut], content + content, content + b"rest", middle * 9, content[cut:],
         content[:cut] + middle + content[cut + 20 :], b"\0" * 4096 + content, content[:-1])
    )  # fmt: skip


def packed(content: bytes, suffix: str) -> bytes:
    """Text as a file of a suffix."""
    if suffix.endswith(".gz"):
        return gzip.compress(content, mtime=0)
    if suffix.endswith(".zst"):
        return pa.Codec("zstd").compress(content, asbytes=True)
    return content


def parquet(table: pa.Table, **options: Any) -> bytes:
    """A table as a file."""
    stream = io.BytesIO()
    pq.write_table(table, stream, **options)
    return stream.getvalue()


PLACES: tuple[tuple[str, Entry], ...] = (
    ("gone.jsonl", Link("nowhere")), ("loop.jsonl", Link("loop.jsonl")), ("up", Link("..")),
    ("folder.jsonl", Folder()), ("pipe.jsonl", Fifo()), ("zeros.jsonl", Zeros()),
    ("zeros.txt", Zeros()), ("pipe.parquet", Fifo()), ("out.jsonl", Link("../outside/canary.txt")),
    ("pipe.jsonl.gz", Fifo()), (".hidden.jsonl", b"{}"), ("a.csv", b"a,b"),
    ("zeros.parquet", Zeros()), ("b.json", b"[]"), ("empty.jsonl", b""), ("empty.parquet", b""),
    ("empty.txt", b""), ("empty.jsonl.gz", b""), ("empty.jsonl.zst", b""), ("here", Link(".")),
    ("zeros.jsonl.gz", Zeros()), ("x.parquet", Folder()),
)  # fmt: skip
"""What may lie beside a corpus, or in its place."""


def make(random: Random, number: int, prepared: Path) -> Case:
    """A case of the kind."""
    what, turn = number % 8, number // 8
    options: list[str] = []
    names = (*NAMES, NAMED, f"token={NAMED}", f"a/{NAMED}/b")
    place = f"in/{random.choice(names)}" if random.random() < 0.15 else "in/c"
    suffix = "jsonl"
    if what < 3:
        summary, content = jsonl(random, number // 8 * 3 + what)
    elif what == 3:
        summary, content = "records of mixed types", mixed(random)
    elif what == 4:
        suffix, (summary, table) = "parquet", odd_table(random, turn)
        content = parquet(table, row_group_size=random.choice((1, 2, 1000)))
    elif what == 5:
        summary, options = "odd conversations", ["--messages-column", "messages"]
        rows = [
            {"id": f"c{n}", "messages": conversation(random)} for n in range(random.randrange(1, 5))
        ]
        content = "".join(json.dumps(row) + "\n" for row in rows).encode()
        options += random.choice(([], [], ["--role-names", "assistant=model"]))
    elif what == 6:
        suffix = SUFFIXES[turn % len(SUFFIXES)]
        lines = (
            jsonl(random, 10**6)[1]
            if suffix != "txt"
            else "\n".join(TEXTS).encode("utf-8", "replace")
        )
        table = pa.table({"id": ["a", "b"], "text": [PLAIN, PLAIN]})
        content = parquet(table) if suffix == "parquet" else packed(lines, suffix)
        content, summary = damaged(random, content), f"damaged {suffix}"
    else:
        suffix = random.choice(SUFFIXES[:3])
        content = packed(f'{{"id": "a", "text": "{PLAIN}"}}\n'.encode(), suffix)
        summary = f"odd neighbour {PLACES[turn % len(PLACES)][0]}"
    files: list[tuple[str, Entry]] = [(f"{place}.{suffix}", content)]
    inputs = [f"{{cwd}}/{place}.{suffix}" if "\n" in place else f"{place}.{suffix}"]
    if what == 7:
        name, entry = PLACES[turn % len(PLACES)]
        files.append((f"in/{name}", entry))
        inputs = random.choice((["in"], [f"in/{name}"], [*inputs, f"in/{name}"]))
    for flag, values in (
        ("--missing-text", ("keep", "skip")), ("--invalid-utf8", ("replace", "skip")),
        ("--txt", ("file",)), ("--prompt-column", ("prompt", "id", "meta")),
        ("--text-column", ("meta", "id")), ("--id-column", ("text", "year", "none")),
        ("--shard-size", ("0.000001",)),
    ):  # fmt: skip
        if random.random() < 0.12 and not (options and "column" in flag):
            options += [flag, random.choice(values)]
    verb = random.choice(("edit", "edit", "score"))
    common = ("--prior", "table", *options)
    commands = [Command((verb, *inputs, "--output", "out", *common), codes=(0, 1, 2))]
    if verb == "edit" and random.random() < 0.4:
        commands.append(Command(("diff", *inputs[:1], "out", "--html", "out2/page.html")))
        commands.append(
            Command(("edit", "out/data", "--output", "out2/again", *common), codes=(0, 1, 2))
        )
    return Case(f"corpora-{number}", summary, tuple(commands), files)
