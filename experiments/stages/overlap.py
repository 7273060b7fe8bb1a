"""Find the documents of a text that share a run of words with items of benchmarks.

For texts that do not fit in memory: each worker of the engine reads one unit at a time.
"""

from dataclasses import dataclass
from typing import Any

from experiments.config import EngineConfig, EvalConfig
from experiments.stage import Stage, StageConfig, StageContext
from experiments.stages.corpus import Benchmarks, benchmark_items, benchmarks_of, text_inputs
from experiments.stages.units import run_units, text_manifest
from toedit.corpora import SHARDS
from toedit.corpora.split import ngrams, shared, short
from toedit.corpora.units import WORK_SCRATCH

ITEMS = "items.npz"


@dataclass
class OverlapStage(StageConfig, kind="overlap", scratch=(*WORK_SCRATCH, ITEMS)):
    """The benchmarks whose items are searched for."""

    benchmarks: Benchmarks

    def run(self, context: StageContext) -> dict[str, Any]:
        """Write the ids of overlapping documents, a file per unit; return the number of documents
        and, for each benchmark, how many ``documents`` and ``items`` share a run of words, and how
        many items are too ``short`` to be found."""
        from toedit.pipeline.overlapping import WriteOverlap, read_overlap, write_index

        benchmarks = benchmark_items(self.benchmarks)
        index, folder = context.folder / ITEMS, context.folder / SHARDS
        write_index(
            index,
            {name: [ngrams(text) for _, text in items] for name, items in benchmarks.items()},
        )
        writer = WriteOverlap(str(folder), str(index))
        run_units(context, text_manifest(context), f"overlap {context.stage.name}", writer)
        documents, overlapping, runs = read_overlap(folder)
        overlap = {
            name: {
                "documents": overlapping.get(name, 0),
                "items": len({i for i, text in items if len(shared(ngrams(text), runs[name]))}),
                "short": short(items),
            }
            for name, items in benchmarks.items()
        }
        return {"documents": documents, "overlap": overlap}


def stage(text: Stage, evaluation: EvalConfig, engine: EngineConfig) -> Stage:
    """The overlap of a training text with the benchmarks of an evaluation."""
    config = OverlapStage(benchmarks_of(evaluation))
    return Stage(config, text.name, text_inputs([text]), runtime=engine)
