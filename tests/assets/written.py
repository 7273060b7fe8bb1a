"""Stores as runs leave them, written by hand: records, answers and the lists of what belongs
together."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from simple_stages import with_work

from experiments.analysis.evidence import Evidence
from experiments.reports.tables.build import build
from experiments.reports.tables.catalogue import TABLES
from experiments.stage import digest
from experiments.store.runs import FORMAT
from toedit.rules import PRESETS

TASKS = ("pubmedqa_yesno", "medqa_en", "medmcqa_en")
RULE = asdict(PRESETS["released_code"])


def write(
    root: Path, kind: str, name: str, config: dict[str, Any], inputs: dict[str, str],
    metrics: dict[str, Any], tables: dict[str, list[dict[str, Any]]] | None = None, **fields: Any,
) -> str:  # fmt: skip
    """A result with its record; returns its label."""
    identity = {
        "kind": kind,
        "rev": fields.pop("rev", 1),
        "config": config,
        "inputs": {key: label.rpartition("-")[2] for key, label in inputs.items()},
    }
    label = f"{kind}/{name}-{digest(identity)}"
    folder, files = root / label, {}
    for path, rows in (tables or {}).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows), folder / path)
        content = (folder / path).read_bytes()
        files[path] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    folder.mkdir(parents=True, exist_ok=True)
    record = {
        "kind": kind, "name": name, "fingerprint": digest(identity), "identity": identity,
        "config": config, "inputs": inputs, "format": 2, "experiment": "cpt_bio", "arm": name,
        "seed": 0, "checkpoint": None,
        "metrics": metrics, "seconds": 1.0, "finished": "2026-01-01T00:00:00Z",
        "peak_memory_gb": 1.0, "git_commit": "c0ffee", "git_dirty": False, "argv": ["run.py"],
        "packages": {}, "hardware": {"cpu": "x", "cores": 2, "gpus": []}, "tracker_run": "run-7",
        "files": files, **fields,
    }  # fmt: skip
    (folder / "record.json").write_text(json.dumps(record))
    return label


def answers(right: list[int]) -> list[dict[str, Any]]:
    """Rows of a benchmark: 1 where it was answered right."""
    return [{"item": f"i{n}", "value": float(value)} for n, value in enumerate(right)]


def evaluation(
    root: Path, arm: str, seed: int, right: dict[str, list[int]], nll: list[float],
    revs: dict[str, int] | None = None, tokens: int = 1000, kind: str = "human",
    start: str = "", score: dict[str, Any] | None = None, **rule: Any,
) -> str:  # fmt: skip
    """An evaluated model: its edit, its training, which may start from another, and its answers."""
    revs = revs or {}
    inputs = {}
    if arm != "base":
        text = {}
        if arm == "edited":
            edit = {"rule": {**RULE, **rule}, "seed": seed}
            scores = {}
            if score is not None:
                scores["scores"] = write(root, "score", "local", {"score": score}, {}, {})
            text["text"] = write(root, "edit", "edited", edit, scores, {}, rev=revs.get("edit", 1))
        else:
            text["text"] = write(root, "corpus", "local", {"paths": ["a"]}, {}, {})
        train = {"train": {"tokens": tokens}, "seed": seed}
        text |= {"start": start} if start else {}
        inputs["model"] = write(root, "train", arm, train, text, {}, seed=seed)
    tables = {f"predictions/{task}.parquet": answers(own) for task, own in right.items()}
    held = [
        {"item": f"h{n}", "nll": value, "tokens": 10, "bytes": 40, "kind": kind}
        for n, value in enumerate(nll)
    ]
    tables["predictions/heldout.parquet"] = held
    metrics: dict[str, Any] = {
        task: {"items": len(own), "acc": sum(own) / len(own), "acc_stderr": 0.01}
        for task, own in right.items()
    }
    metrics["heldout"] = {"documents": len(nll), "bits_per_byte": 1.0}
    config = {"evaluation": {"suite": "biomedicine_embedded"}}
    return write(root, "evaluate", arm, config, inputs, metrics, tables, seed=seed,
                 rev=revs.get("evaluate", 1))  # fmt: skip


def entry(place: str, label: str) -> dict[str, Any]:
    """A stage of a run by ``kind/arm`` or ``kind/arm-seedN``; the base model has no seed."""
    kind, _, name = place.partition("/")
    arm, _, seed = name.partition("-seed")
    number = None if arm == "base" else int(seed or 0)
    return {"kind": kind, "name": name, "arm": arm, "seed": number, "checkpoint": None,
            "label": label}  # fmt: skip


def run(root: Path, name: str, experiment: str, stages: dict[str, str], **fields: Any) -> None:
    """The list of a run."""
    folder = root / "reports" / name
    folder.mkdir(parents=True, exist_ok=True)
    listed = {
        "format": FORMAT, "experiment": experiment, "plan": "train_on_edits", "note": "A note.",
        "command": ["run.py", f"+exp={experiment}"], "git_commit": "c0ffee",
        "finished": "2026-01-01T00:00:00Z",
        "stages": [entry(place, label) for place, label in stages.items()], **fields,
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(listed))


ITEMS = 60


def right(share: float, seed: int) -> dict[str, list[int]]:
    rng = np.random.default_rng(seed)
    return {task: (rng.random(ITEMS) < share).astype(int).tolist() for task in TASKS}


def three_arms(root: Path, seeds: tuple[int, ...] = (0,), **rule) -> dict[str, str]:
    """A run of cpt_bio in a store; returns the labels of its evaluations."""
    stages = {"evaluate/base": evaluation(root, "base", 0, right(0.3, 1), [30.0] * 8)}
    for seed in seeds:
        suffix = f"-seed{seed}" if len(seeds) > 1 else ""
        for arm, share, nll in (("source", 0.4, 20.0), ("edited", 0.9, 15.0)):
            answered = right(share, 10 + seed)
            held = [nll + seed / 10 + n * (1.0 if arm == "source" else 0.9) for n in range(8)]
            own = rule if arm == "edited" else {}
            label = evaluation(root, arm, seed, answered, held, **own)
            stages[f"evaluate/{arm}{suffix}"] = label
    name = f"cpt_bio-{abs(hash(tuple(stages.values()))):x}"
    run(root, name, "cpt_bio", stages)
    return stages


def block_of(root: Path, number: int = 3, name: str = "biomedicine-embedded"):
    evidence = Evidence([root])
    built = build(TABLES[number], evidence)
    place = [block.block.name for block in built.blocks].index(name)
    return built, built.blocks[place], place, evidence


def block_named(built, name: str = "biomedicine-embedded"):
    return next(block for block in built.blocks if block.block.name == name)


def executed(config: Any, measure: Any) -> tuple[Any, Any]:
    """A run whose stages measured what a function says, recorded and listed as any other.

    Args:
        config: the experiment.
        measure: takes a stage, returns its metrics and rows by file.

    Returns:
        The run, and its evidence.
    """
    from experiments import runner
    from experiments.plans import plan
    from experiments.store import Store
    from experiments.store.runs import RUN, manifest
    from toedit.corpora.files import write_json

    def work(context: Any) -> dict[str, Any]:
        metrics, tables = measure(context.stage)
        for name, rows in tables.items():
            (context.folder / name).parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.Table.from_pylist(rows), context.folder / name)
        return metrics

    stages, store = plan(config), Store(config.store)
    runner.execute(config, [with_work(stage, work) for stage in stages], store)
    folder = store.root / "reports" / "own"
    write_json(folder / RUN, manifest(config, stages, store))
    evidence, run_ = Evidence.of_folder(store.root, folder)
    return run_, evidence
