"""Configurations of experiments: odd values of every field, and odd YAML files."""

import dataclasses
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from .case import RUN, Case, Command, Entry, Fifo, Folder, Link, Zeros
from .odd import NUMBERS, PATHS
from .options import PLUGINS

EXPERIMENTS = (
    "cpt_bio", "cpt_bio", "cpt_bio", "sft_instruct", "pretrain_ratio", "pretrain_selection",
    "pretrain_toedit", "collapse_generations", "sft_generations", "statistics", "synthesize",
    "theory",
)  # fmt: skip
VALUES = (
    "null", "[]", "{}", "[1,2]", "[null]", "{a:1}", "{a:{b:[1]}}", "true", "'a b'", "''", "???",
    "'???'", "[[]]", "${oc.env:HF_TOKEN}", "${oc.env:NOT_THERE}", "${seed}", "${nothing}",
    "${edit.k}", "${oc.decode:x}", "${store}", "${.x}", "${", "'${oc.env:HF_TOKEN}'", "'\\x1b[2J'",
    "-1", "1e9", "1000000000", "1e400", "[0,0]", "[1e9]", "a" * 5000, "'../outside/canary.txt'",
    "choice(1,2)", "range(1,9)", "int(x)", "glob(*)", "1,2",
)  # fmt: skip
ALIASES = "\n".join(
    [
        "a0: &a0 [x, x, x, x, x, x, x, x, x]",
        *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)),
    ]
)
YAML = (
    ALIASES, "note: &a [*a]", "note: !!python/object/apply:os.system ['touch gone']",
    "note: !!python/name:os.system", "note: !!binary aGk=", "note: !!set {a, b}",
    "note: !!timestamp 2001-01-01", "note: 2001-01-01", "seed: 1\nseed: 2", "seed: 0o17",
    "seed: 1_000", "seed: 1:30", "note: yes", "note: ~", "<<: {seed: 3}", "? [a, b]\n: c",
    "note: |\n  a\n b", "\t- a", "[", "{", "- a", "just text", "", "---\nseed: 1\n---\nseed: 2",
    "%YAML 9.9\n---\nseed: 1", "note: *nothing", "note: 'a", "seed: .inf", "seed: .nan",
    "seed: 1e3", "note: \"\\ud800\"", "note: \"\\0\"", "\ufeffseed: 1", "note: ${oc.env:HF_TOKEN}",
    "note: ${note}", "seed: ${plan}", "note: ${oc.env:HOME}/x", "store: ${oc.env:HF_TOKEN}",
    "defaults: [mine]", "defaults: 3", "defaults: [{override /edit: nothing}]",
    "defaults: [/exp/mine]", "defaults: [null]", "defaults: [{override /hydra/launcher: nothing}]",
    "hydra: {run: {dir: ../outside}}", "hydra: null", "_target_: os.system",
    "edit: {_target_: os.system, k: 3}", "edit: null", "edit: []", "edit: 3",
    "train: {tokens: null}", "corpus: {paths: 3}", "corpus: {paths: {a: b}}",
    "eval: {limits: {a: b}}", "eval: {limits: [1]}", "arms: source", "1: 2", "null: 3", "true: x",
    "[1]: 2", "note: " + "[" * 3000 + "]" * 3000, "note: " + "x" * 1_000_000, "seed: " + "9" * 5000,
    "a.b: 1", "'': 1", "name: ../../outside", "name: /etc", "name: \"a\\0b\"", "name: " + "n" * 400,
    "plan: os:system", "seeds: [0, 0]", "seeds: [null]", "seeds: 3",
    "generations: {count: 1000000000}", "note: caf\xe9",
)  # fmt: skip
"""Files of an experiment."""

HEADS = (
    "", "# @package _global_\n", "# @package _global_\ndefaults:\n  - /exp/cpt_bio\n  - _self_\n",
)  # fmt: skip
PLUGGED = (
    "edit.sampler", "prior.kind", "prior.model", "model.model", "corpus.source", "plan",
    "engine.kind",
)  # fmt: skip
UNKNOWN = ("x", "edit.x", "a.b.c", "hydra.x")
WORDS = (
    "--cfg=job", "--resolve", "--info", "--package=x", "--multirun", "-c", "--version", "--nothing",
    "force=a/b", "force='../x'", "force='*'", "objective=a", "objective=a.b", "hydra.run.dir=out",
    "objective=evaluate/edited.x", "hydra.run.dir='a\0b'", f"hydra.run.dir={'x' * 300}",
)  # fmt: skip
"""Words of a command line that are no field."""


@cache
def fields() -> tuple[str, ...]:
    """Every field of a configuration that holds no other fields, by its path."""
    from experiments.config import Config

    def walk(value: Any, prefix: str) -> list[str]:
        if not dataclasses.is_dataclass(value):
            return [prefix[:-1]]
        return [
            name
            for f in dataclasses.fields(value)
            for name in walk(getattr(value, f.name), f"{prefix}{f.name}.")
        ]

    return tuple(walk(Config(), ""))


def make(random: Random, number: int, prepared: Path) -> Case:
    """A case of the kind."""
    what, turn = number % 4, number // 4
    known = fields()
    files: list[tuple[str, Entry]] = [
        ("zeros.jsonl", Zeros()),
        ("pipe.jsonl", Fifo()),
        ("empty", Folder()),
        ("loop", Link("loop")),
    ]
    words = [f"+exp={random.choice(EXPERIMENTS)}", "tracker=none"]
    if what < 2:
        field = known[(turn * 2 + what) % len(known)]
        words += [f"{field}={random.choice((*VALUES, *NUMBERS[:20]))}"]
        if random.random() < 0.3:
            words.append(f"{random.choice(known)}={random.choice(VALUES)}")
        summary = " ".join(words)[:90]
    elif what == 2:
        group = random.choice(PLUGGED)
        local = random.choice(("zeros.jsonl", "pipe.jsonl", "empty", "loop", *PATHS[:14]))
        extra = (
            [f"{group}='{random.choice(PLUGINS)}'"],
            ["corpus=local", f"corpus.paths=['{local}']"],
            [f"model.model='{random.choice(PATHS)}'"],
            [f"prior.model='{random.choice(PATHS)}'"],
            [f"store='{random.choice(PATHS)}'"],
            [f"eval.data='{local}'"],
            [f"device={random.choice(NUMBERS)}xh100"],
            [f"+{random.choice(UNKNOWN)}={random.choice(VALUES)}"],
            [f"+{random.choice(known)}={random.choice(VALUES)}"],
            [f"~{random.choice(known)}"],
            [random.choice(WORDS)],
        )[turn % 11]
        words += extra
        summary = " ".join(words)[:90]
    else:
        text = YAML[turn % len(YAML)]
        encoding = "utf-8" if random.random() < 0.9 else "latin-1"
        content = (random.choice(HEADS) + text).encode(encoding, "replace")
        files.append(("conf/exp/mine.yaml", content))
        words = ["--config-dir={cwd}/conf", "+exp=mine", "tracker=none"]
        summary = f"yaml {text[:60]!r}"
    codes = (0, 1, 2) if "--multirun" in words else (0, 2)
    command = Command((*words, "dry_run=true"), RUN, codes)
    return Case(f"configurations-{number}", summary, (command,), files, ("out", "store"))
