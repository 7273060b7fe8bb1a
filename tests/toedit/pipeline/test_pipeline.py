"""The datatrove steps: same bytes for any number of workers, and interrupted work continues."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import corpus_text

from toedit import pipeline
from toedit.corpora.documents import write_documents
from toedit.corpora.sources import local_documents
from toedit.corpora.units import make_units, manifest_path, write_units
from toedit.document import Document
from toedit.editor import candidates_for, edit_documents, score_documents
from toedit.engines import Engine
from toedit.errors import UserError
from toedit.pipeline.progress import watch
from toedit.priors import PriorConfig, load_prior
from toedit.rules import PRESETS
from toedit.stats.edits import EditStats

TABLE = PriorConfig(kind="table")
RULE = PRESETS["released_code"]


@pytest.fixture()
def corpus(tmp_path) -> Path:
    documents = [Document(f"d{i}", corpus_text(i), {"year": i}) for i in range(30)]
    documents[4] = Document("d4", "", {"year": 4})
    write_documents(tmp_path / "corpus" / "00000.parquet", documents[:17])
    write_documents(tmp_path / "corpus" / "00001.parquet", documents[17:])
    return tmp_path / "corpus"


def run(corpus: Path, output: Path, workers: int, rule=RULE) -> dict[str, bytes]:
    manifest = manifest_path(output)
    units = make_units(sorted(corpus.glob("*.parquet")), 4)
    write_units(manifest, units)
    steps = [
        pipeline.ReadUnit(str(manifest)),
        pipeline.ScoreStep(TABLE, candidates_for(rule), Engine(workers=workers).worker_threads),
        pipeline.EditStep(TABLE, rule),
        pipeline.WriteDocuments(str(output)),
    ]
    pipeline.run_steps(steps, units, output, "test", Engine(workers=workers))
    return {p.name: p.read_bytes() for p in sorted((output / pipeline.SHARDS).glob("*"))}


def test_steps_between_a_reader_and_a_writer_of_datatrove(tmp_path, table_prior):
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.readers import ParquetReader
    from datatrove.pipeline.writers import ParquetWriter

    (tmp_path / "in").mkdir()
    rows = [{"id": f"d{i}", "text": corpus_text(i)} for i in range(5)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "in" / "a.parquet")
    steps = [
        ParquetReader(str(tmp_path / "in")),
        pipeline.ScoreStep(TABLE, candidates_for(RULE)),
        pipeline.EditStep(TABLE, RULE),
        pipeline.Plain(),
        ParquetWriter(str(tmp_path / "out")),
    ]
    LocalPipelineExecutor(steps, logging_dir=str(tmp_path / "logs")).run()
    (path,) = (tmp_path / "out").iterdir()
    written = pq.read_table(path).to_pylist()
    scored = score_documents(
        [Document(row["id"], row["text"]) for row in rows], table_prior, candidates_for(RULE)
    )
    edited = list(edit_documents(scored, RULE, table_prior.vocabulary))
    assert [row["text"] for row in written] == [e.document.text for e in edited]
    changed = [row["metadata"]["toedit_changed"] for row in written]
    assert changed == [e.stats.changed for e in edited]


def test_outputs_are_identical_over_workers_and_keep_every_document(corpus, tmp_path):
    one = run(corpus, tmp_path / "one", 1)
    two = run(corpus, tmp_path / "two", 2)
    assert one == two
    assert len(one) == 5 + 4
    source = list(local_documents([corpus]))
    edited = list(local_documents([tmp_path / "one" / pipeline.SHARDS]))
    assert [(d.id, d.metadata) for d in edited] == [(d.id, d.metadata) for d in source]
    assert any(a.text != b.text for a, b in zip(source, edited, strict=True))
    stats = pipeline.read_statistics(tmp_path / "one", EditStats)
    assert stats.documents == 30
    assert stats.changed > 0


def test_scoring_then_editing_equals_doing_both_at_once(corpus, tmp_path):
    fused = run(corpus, tmp_path / "fused", 1)
    output = tmp_path / "staged"
    manifest = manifest_path(output / "scores")
    units = make_units(sorted(corpus.glob("*.parquet")), 4)
    write_units(manifest, units)
    shards = output / "scores" / pipeline.SHARDS
    read = pipeline.ReadUnit(str(manifest))
    score = pipeline.ScoreStep(TABLE, candidates_for(RULE))
    writer = pipeline.WriteScores(str(shards), RULE.k)
    pipeline.run_steps([read, score, writer], units, output / "scores", "score")
    steps = [
        pipeline.ReadUnit(str(manifest)),
        pipeline.AttachScores(str(shards)),
        pipeline.EditStep(TABLE, RULE),
        pipeline.WriteDocuments(str(output)),
    ]
    pipeline.run_steps(steps, units, output, "edit")
    assert {p.name: p.read_bytes() for p in sorted((output / "shards").glob("*"))} == fused


def test_the_no_edit_control_returns_the_corpus(corpus, tmp_path):
    run(corpus, tmp_path / "control", 1, PRESETS["none"])
    edited = list(local_documents([tmp_path / "control" / pipeline.SHARDS]))
    assert edited == list(local_documents([corpus]))


def test_finished_units_are_skipped_and_unfinished_ones_redone(corpus, tmp_path):
    before = run(corpus, tmp_path / "out", 1)
    shards = sorted((tmp_path / "out" / pipeline.SHARDS).glob("*"))
    stamp = shards[0].stat().st_mtime_ns
    shards[3].write_bytes(b"cut short")
    (tmp_path / "out" / pipeline.WORK / "completions" / "00003").unlink()
    assert run(corpus, tmp_path / "out", 1) == before
    assert shards[0].stat().st_mtime_ns == stamp


def test_scores_of_another_corpus_are_refused(corpus, tmp_path, table_prior):
    from toedit.corpora.scores import write_scores

    unit = make_units(sorted(corpus.glob("*.parquet")), 4)[:1]
    write_units(tmp_path / "m.json", unit)
    wrong = [(f"x{i}", None) for i in range(4)]
    write_scores(tmp_path / "s" / pipeline.shard_name(0), wrong, 8)
    step = pipeline.AttachScores(str(tmp_path / "s"))
    with pytest.raises(UserError, match="score again"):
        list(step.run(pipeline.ReadUnit(str(tmp_path / "m.json")).run(None, 0, 1), 0, 1))


def test_a_prior_is_loaded_once_a_process():
    assert load_prior(TABLE) is load_prior(PriorConfig(kind="table"))


def test_library_and_pipeline_agree(corpus, tmp_path, table_prior):
    run(corpus, tmp_path / "out", 1)
    source = local_documents([corpus])
    direct = [
        edited.document
        for edited in edit_documents(
            score_documents(source, table_prior, candidates_for(RULE)),
            RULE,
            table_prior.vocabulary,
        )
    ]
    assert list(local_documents([tmp_path / "out" / pipeline.SHARDS])) == direct


def test_progress_passes_over_what_is_no_count(tmp_path):
    (tmp_path / "00000").write_text("3 40")
    (tmp_path / "00001").write_text("2 ")  # just being written
    (tmp_path / "00002").write_bytes(b"\xc6 7")
    (tmp_path / "00003").mkdir()
    with watch(tmp_path, 10, "edit") as speed:
        (tmp_path / "00001").write_text("2 25")
    assert speed.tokens == 25
