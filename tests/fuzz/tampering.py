"""Damage a file of a folder: JSON with another value, cut or other bytes, a link."""

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

from .odd import JSON, PATHS, tampered

STRUCTURED = (".json", ".jsonl")


def tamper(random: Random, pattern: str = "*") -> Callable[[Path], None]:
    """An entry of a case that damages one file, chosen at random, in the folder at its path."""

    def damage(folder: Path) -> None:
        files = sorted(p for p in folder.rglob(pattern) if p.is_file() and not p.is_symlink())
        if not files:
            return
        path = random.choice(files)
        if path.suffix in STRUCTURED and random.random() < 0.75:
            _write(path, _structured(random, path), folder)
        else:
            _bytes(random, path)

    return damage


def replace_value(
    random: Random, pattern: str, values: tuple[Any, ...], *keys: str
) -> Callable[[Path], None]:
    """An entry that sets a value in a JSON file; of a key ``*`` a random one of its holder."""

    def change(folder: Path) -> None:
        path = random.choice(sorted(p for p in folder.rglob(pattern) if p.is_file()))
        tree = json.loads(path.read_text())
        node, place = tree, None
        for number, key in enumerate(keys):
            place = (
                random.choice([*node] if isinstance(node, dict) else range(len(node)))
                if key == "*"
                else key
            )
            if number < len(keys) - 1:
                node = node[place]
        node[place] = random.choice(values)
        _write(path, json.dumps(tree), folder)

    return change


def rename_key(
    random: Random, pattern: str, names: tuple[str, ...], *keys: str
) -> Callable[[Path], None]:
    """An entry that renames a random key of the object at ``keys`` in a JSON file."""

    def change(folder: Path) -> None:
        path = random.choice(sorted(p for p in folder.rglob(pattern) if p.is_file()))
        tree = node = json.loads(path.read_text())
        for key in keys:
            node = node[key]
        if node:
            node[random.choice(names)] = node.pop(random.choice(sorted(node)))
            _write(path, json.dumps(tree), folder)

    return change


def _structured(random: Random, path: Path) -> str:
    lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    number = random.randrange(len(lines)) if lines else 0
    with suppress(ValueError, IndexError):
        tree = json.loads(lines[number])
        if random.random() < 0.15:
            lines[number] = random.choice(JSON)
        elif random.random() < 0.1:  # the same key twice
            lines[number] = "{" + lines[number].strip()[1:-1] + ", " + lines[number].strip()[1:]
        else:
            lines[number] = json.dumps(tampered(random, tree))
    return "\n".join(lines) + "\n" * (path.suffix == ".jsonl")


def _write(path: Path, text: str, folder: Path) -> None:
    root = next(p for p in folder.parents if (p / "outside").is_dir())
    for name in ("cwd", "outside", "home"):
        text = text.replace(f"{{{name}}}", str(root / name))
    path.write_text(text, encoding="utf-8", errors="surrogatepass")


def _bytes(random: Random, path: Path) -> None:
    content = path.read_bytes()
    cut = random.randrange(len(content) + 1)
    action = random.randrange(8)
    if action < 4:
        noise = bytes(random.randrange(256) for _ in range(8))
        path.write_bytes(
            (content[:cut], content[:cut] + noise + content[cut + 8 :], b"", noise * 20)[action]
        )
        return
    path.unlink()
    if action == 4:
        path.mkdir()
    elif action == 5:
        path.symlink_to(
            os.path.relpath(
                next(p for p in path.parents if p.name == "cwd").parent / "outside/canary.txt",
                path.parent,
            )
        )
    elif action == 6:
        shutil.rmtree(path.parent) if random.random() < 0.5 else path.symlink_to(path.name)


ODD_PATHS = tuple(p for p in PATHS if "\udcff" not in p)
