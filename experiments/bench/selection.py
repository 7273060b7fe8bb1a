"""Benchmarks of n-grams and DSIR against the package ``data-selection``."""

import json
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from evals.domains import passages
from experiments.bench.compare import Side, timed
from experiments.stages.domains import SHIPPED_FILE
from toedit.corpora.sources import local_documents
from toedit.errors import UserError
from toedit.stats.dsir import ImportanceModel
from toedit.stats.ngrams import BUCKETS, WORDS, HashedNgrams


def _package() -> Any:
    """The module of the package; raises a UserError if it is not installed."""
    try:
        return import_module("data_selection.hashed_ngram_dsir")
    except ImportError as error:
        raise UserError("this case needs the package data-selection: make install") from error


def ngrams() -> tuple[Side, Side, int]:
    """Counting a corpus: ours in the groups that the bootstrap resamples, the package's in total,
    document by document; both start with empty caches."""
    count = _package().get_ngram_counts
    texts = [p.text for p in passages("wikipedia")]

    def ours() -> None:
        HashedNgrams(2).grouped(texts, 512)

    def package() -> None:
        total = np.zeros(BUCKETS, np.int64)
        for text in texts:
            total += count(text, n=2, num_buckets=BUCKETS)

    return timed(ours), timed(package), sum(len(WORDS.findall(text)) for text in texts)


def dsir() -> tuple[Side, Side, int]:
    """Counting both corpora and weighing every document in one process, with empty caches."""
    package_dsir = _package().HashedNgramDSIR
    target = [p.text for p in passages("wikipedia")]
    raw = [d.text for d in local_documents([SHIPPED_FILE])]
    folder = Path(tempfile.mkdtemp())
    for name, texts in (("target", target), ("raw", raw)):
        lines = (json.dumps({"text": text}) + "\n" for text in texts)
        (folder / f"{name}.jsonl").write_text("".join(lines))

    def ours() -> None:
        model = ImportanceModel.fit(target, raw)
        for text in raw:
            model.weight(text)

    def package() -> None:
        model = package_dsir(
            [str(folder / "raw.jsonl")], [str(folder / "target.jsonl")], str(folder / "cache"),
            num_proc=1,
        )  # fmt: skip
        model.fit_importance_estimator("all")
        model.compute_importance_weights()

    tokens = sum(len(WORDS.findall(text)) for text in [*target, *raw, *raw])
    return timed(ours), timed(package), tokens
