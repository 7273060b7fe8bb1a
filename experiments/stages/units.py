"""Run pipeline steps over the units of work of a text."""

from pathlib import Path
from typing import Any

from experiments.stage import StageContext
from experiments.stages.corpus import text_folder
from toedit.corpora.units import (
    all_inside,
    corpus_files,
    make_units,
    manifest_path,
    read_units,
    write_units,
)
from toedit.errors import UserError, damaged


def text_manifest(context: StageContext, name: str = "text", rows: int | None = None) -> Path:
    """Path of the manifest of an input text, written unless an earlier attempt wrote it.

    A unit has at most ``rows`` documents; None makes one unit per file.
    """
    manifest = manifest_path(context.folder)
    folder = text_folder(context.stage.inputs[name], context.inputs[name])
    if not manifest.exists() or not all_inside(read_units(manifest), folder):
        write_units(manifest, make_units(corpus_files([folder]), rows))
    return manifest


def run_units(context: StageContext, manifest: Path, label: str, *steps: Any) -> None:
    """Read the units of a manifest and pass them through steps of :mod:`toedit.pipeline`.

    Raises:
        UserError: the manifest has no unit, or names a file outside the store.
    """
    from toedit import pipeline

    units = read_units(manifest)
    if not all_inside(units, context.folder.parents[1]):
        raise damaged(manifest, "it names a file outside the store")
    if not units:
        raise UserError(f"the text {context.stage.name!r} holds no document")
    all_steps = [pipeline.ReadUnit(str(manifest)), *steps]
    speed = pipeline.run_steps(all_steps, units, context.folder, label, context.stage.runtime)
    context.measured.update(speed.measured)
