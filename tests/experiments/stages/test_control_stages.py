"""Controls as stages: random edits of a corpus, and the proof that no edit changes nothing."""

import hashlib
from pathlib import Path

import pytest
from commands import lines
from conftest import corpus_text
from simple_stages import simple_stage

from experiments import runner
from experiments.config import (
    Config,
    CorpusConfig,
    EngineConfig,
    EvalConfig,
    ScoreConfig,
    TrackerConfig,
)
from experiments.stage import Stage, identity
from experiments.stages import corpus, edit, identical, score
from experiments.stages.corpus import TRAIN, text_folder
from experiments.store import Store
from toedit.corpora.documents import write_shards
from toedit.corpora.sources import local_documents
from toedit.document import Document
from toedit.errors import UserError
from toedit.pipeline import SHARDS
from toedit.priors import PriorConfig
from toedit.rules import PRESETS, EditRule

CONFIG = Config(name="controls", tracker=TrackerConfig(kind="none"))
TABLE = PriorConfig(kind="table")
EVERYWHERE = ScoreConfig(below=1.0)
RULE = PRESETS["forced"]


def stages(folder: Path, engine: EngineConfig) -> list[Stage]:
    """A corpus, its scores, and four ways to edit it."""
    rows = [{"id": f"d{i}", "text": corpus_text(i)} for i in range(30)]
    (folder / "corpus.jsonl").write_text(lines(rows))
    text = CorpusConfig(
        source="local", paths=[str(folder / "corpus.jsonl")], heldout_share=0.1,
        train_characters=None, heldout_characters=None,
    )  # fmt: skip
    source = corpus.stage(text, EvalConfig(suite=None))
    scores = score.stage(source, TABLE, EVERYWHERE, engine)
    edits = [
        edit.stage(scores, "edited", RULE, 0, engine),
        edit.stage(scores, "random", RULE, 0, engine, control="random"),
        edit.stage(scores, "random-seed1", RULE, 1, engine, control="random"),
        edit.stage(scores, "none", PRESETS["none"], 0, engine),
    ]
    return [source, scores, *edits, identical.stage(source, edits[-1])]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, list[Stage], dict]:
    folder = tmp_path_factory.mktemp("controls")
    chosen = stages(folder, EngineConfig(rows_per_unit=1000))
    return folder, chosen, runner.execute(CONFIG, chosen, Store(folder / "store"))


def texts(folder: Path, stage: Stage) -> list[Document]:
    return list(local_documents([text_folder(stage, Store(folder / "store").folder(stage))]))


def test_random_edits_are_as_many_and_elsewhere(finished):
    folder, (source, _, edited, random, other, *_), records = finished
    ours, theirs = (records[f"edit/{name}"]["metrics"] for name in ("edited", "random"))
    assert theirs["changed"] == ours["changed"] == theirs["eligible"] > 100
    assert ours["changed_histogram"][:9] == [0] * 9
    assert sum(theirs["changed_histogram"][:9]) > 0.7 * theirs["changed"]
    documents = [texts(folder, stage) for stage in (source, edited, random, other)]
    moved = 0
    for one, ours, theirs, others in zip(*documents, strict=True):
        assert one.id == ours.id == theirs.id
        counts = [sum(a != b for a, b in zip(one.text, new.text, strict=True))
                  for new in (ours, theirs, others)]  # fmt: skip
        assert counts[0] == counts[1] == counts[2]
        moved += len({ours.text, theirs.text, others.text}) == 3
    assert moved == len(documents[0])


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_workers_and_units_change_no_random_edit(finished, tmp_path, workers):
    folder, chosen, _ = finished
    again = stages(tmp_path, EngineConfig(workers=workers, rows_per_unit=4))
    runner.execute(CONFIG, [*again[:2], again[3]], Store(tmp_path / "store"))
    assert [s.fingerprint for s in again] == [s.fingerprint for s in chosen]
    assert texts(tmp_path, again[3]) == texts(folder, chosen[3])
    shards = [Store(f / "store").folder(s[3]) / SHARDS
              for f, s in ((folder, chosen), (tmp_path, again))]  # fmt: skip
    assert [len(list(f.glob("*.parquet"))) for f in shards] == [1, 7]


def test_no_edit_is_the_source_itself(finished):
    folder, (source, *_), records = finished
    metrics = records["identical/none"]["metrics"]
    assert metrics["documents"] == records["corpus/local"]["metrics"]["train_documents"]
    assert metrics["sha256"] == records["corpus/local"]["metrics"]["train_sha256"]
    digest = hashlib.sha256()
    for document in texts(folder, source):
        digest.update(f"{document.id}\x1f{document.text}\x1e".encode())
    assert metrics["sha256"] == digest.hexdigest()


def test_an_edited_text_is_not_the_source(finished):
    folder, (source, _, edited, *_), _ = finished
    with pytest.raises(UserError, match=r"edit/edited-\w+ is not the text of corpus/local-\w+:"):
        runner.execute(CONFIG, [identical.stage(source, edited)], Store(folder / "store"))


DOCUMENTS = [Document("a", "quiz", {"kind": "human"}), Document("b", "vaccine\r\n"),
             Document("c", "", {"n": float("nan")}),
             Document("d", "ask: answer", {}, ((5, 11),))]  # fmt: skip


def compared(folder: Path, documents: list[Document], own: list[Document] = DOCUMENTS) -> dict:
    """What is found of a text and one that should equal it, cut into shards differently."""

    def writes(place: str, given: list[Document], size: int):
        def run(context):
            return {"sha256": write_shards(context.folder / place, given, size=size)}

        return run

    source = simple_stage("select", "source", writes(TRAIN, own, 2))
    copy = simple_stage("edit", "copy", writes(SHARDS, documents, 3))
    chosen = [source, copy, identical.stage(source, copy)]
    records = runner.execute(CONFIG, chosen, Store(folder))
    assert (
        records["select/source"]["metrics"]["sha256"] == records["edit/copy"]["metrics"]["sha256"]
    )
    return records["identical/copy"]["metrics"]


def test_shards_may_differ_where_documents_do_not(tmp_path):
    assert compared(tmp_path, DOCUMENTS)["documents"] == 4


A, B, C, D = DOCUMENTS


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ([A, Document("b", "vaccinE\r\n"), C, D], "1, 'b', has another text from character 6 on"),
        ([A, Document("b", "vaccine\n"), C, D], "1, 'b', has another text from character 7 on"),
        ([A, Document("b", "vaccine\r\n "), C, D], "1, 'b', has another text from character 9 on"),
        ([A, C, B, D], "1, 'b', is 'c' there"),
        ([A, B, C], "3, 'd', is missing"),
        ([*DOCUMENTS, Document("e", "x")], "4, 'e', is one too many"),
        ([A, B, C, Document("d", D.text, {}, ((0, 11),))], "3, 'd', has other responses"),
        ([Document("a", "quiz", {"kind": "synthetic"}), B, C, D], "0, 'a', has other metadata"),
    ],
)
def test_the_first_difference_is_named(tmp_path, documents, message):
    with pytest.raises(UserError) as error:
        compared(tmp_path, documents)
    line = str(error.value)
    assert line.endswith(f"document {message}")
    assert line.startswith("edit/copy-")
    assert "\n" not in line


def test_a_control_has_a_fingerprint_of_its_own(tmp_path):
    _, scores, edited, random, seeded, none, _ = stages(tmp_path, EngineConfig())
    assert identity(edited.config) == {"rule": identity(RULE)}
    assert len({s.fingerprint for s in (edited, random, seeded, none)}) == 4
    deleting = EditRule(sampler="none", delete_below=0.001)
    own = [edit.stage(scores, "x", deleting, seed, EngineConfig(), control=control).fingerprint
           for control in (None, "random") for seed in (0, 1)]  # fmt: skip
    assert own[0] == own[1]  # a rule that draws nothing has no seed, its control does
    assert len(set(own)) == 3


def test_what_a_control_lacks_is_one_line(tmp_path):
    source = stages(tmp_path, EngineConfig())[0]
    engine = EngineConfig()

    def control(kept: ScoreConfig, name: str = "random", rule: EditRule = RULE) -> Stage:
        scores = score.stage(source, TABLE, kept, engine)
        return edit.stage(scores, "x", rule, 0, engine, control=name)

    line = (r"the random control of the rule \(p >= 0.99, top-k 8, .*\) needs candidates that the "
            r"scoring pass does not keep: set score.k=8 score.below=1.0$")  # fmt: skip
    with pytest.raises(UserError, match=line):
        control(ScoreConfig())
    with pytest.raises(UserError, match=r"set score\.k=64 score\.below=1\.0$"):
        control(EVERYWHERE, rule=EditRule(sampler="top_p"))
    with pytest.raises(UserError, match=r"control='rnd' is unknown; .*allowed: random"):
        control(EVERYWHERE, "rnd")
    assert control(EVERYWHERE).config.control == "random"
