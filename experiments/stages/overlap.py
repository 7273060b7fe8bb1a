"""Which documents of a text share a run of words with the items that models are evaluated on.

For texts too large to hold: they are read unit by unit, by as many workers as the engine has.
"""

from dataclasses import dataclass
from typing import Any

from experiments.config import EngineConfig, EvalConfig
from experiments.stage import Stage, StageConfig, StageContext
from experiments.stages.corpus import Evaluated, evaluated, item_texts_of, text_folder, text_inputs
from toedit.corpora.split import ngrams, shared, short
from toedit.corpora.units import WORK_SCRATCH, corpus_files, make_units, manifest_path, write_units
from toedit.errors import UserError

ITEMS = "items.npz"


@dataclass
class OverlapStage(StageConfig, kind="overlap", scratch=(*WORK_SCRATCH, ITEMS)):
    """The benchmarks whose items are looked for."""

    benchmarks: Evaluated

    def run(self, context: StageContext) -> dict[str, Any]:
        """Writes the ids of overlapping documents, a file a unit; returns the number of documents
        and, of each benchmark, how many ``documents`` and ``items`` have a run of words in common,
        and how many items are too ``short`` to be found."""
        from toedit import pipeline
        from toedit.pipeline.overlapping import WriteOverlap, read_overlap, write_index

        items = item_texts_of(self.benchmarks)
        manifest, folder = manifest_path(context.folder), context.folder / pipeline.SHARDS
        if not manifest.exists():
            text = text_folder(context.stage.inputs["text"], context.inputs["text"])
            write_units(manifest, make_units(corpus_files([text])))
        index = context.folder / ITEMS
        write_index(index, {name: [ngrams(text) for _, text in own] for name, own in items.items()})
        units, label = pipeline.read_units(manifest), f"overlap {context.stage.name}"
        if not units:
            raise UserError(f"the text {context.stage.name!r} holds no document")
        steps = [pipeline.ReadUnit(str(manifest)), WriteOverlap(str(folder), str(index))]
        pipeline.run_steps(steps, units, context.folder, label, context.stage.runtime)
        documents, overlapping, runs = read_overlap(folder)
        found = {
            name: {
                "documents": overlapping.get(name, 0),
                "items": len({i for i, text in own if len(shared(ngrams(text), runs[name]))}),
                "short": short(own),
            }
            for name, own in items.items()
        }
        return {"documents": documents, "overlap": found}


def stage(text: Stage, evaluation: EvalConfig, engine: EngineConfig) -> Stage:
    """The overlap of a training text with what models are evaluated on."""
    config = OverlapStage(evaluated(evaluation))
    return Stage(config, text.name, text_inputs([text]), runtime=engine)
