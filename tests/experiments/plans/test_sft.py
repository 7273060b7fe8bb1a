"""Fine-tuning on conversations of the user's, with controls, a second text and several seeds."""

import json

import numpy as np
import pytest
from commands import Command, lines, run, small_run
from conftest import corpus_text

from evals.instructions import INSTRUCTIONS, conversations
from experiments.config.compose import compose
from experiments.plans import plan
from experiments.stages import corpus as corpus_stage
from toedit.corpora.conversations import MESSAGES, as_conversation
from toedit.corpora.sources import local_documents
from toedit.corpora.split import overlap
from toedit.errors import UserError


def talk(number: int) -> dict:
    words = corpus_text(number)
    return {
        "id": f"t{number}",
        "messages": [
            {"role": "user", "content": f"What about {words[:60]}?"},
            {"role": "assistant", "content": words[60:140]},
            {"role": "user", "content": "And then?"},
            {"role": "assistant", "content": words[140:260]},
        ],
    }


@pytest.fixture()
def talks(tmp_path):
    path = tmp_path / "talks.jsonl"
    path.write_text(lines(talk(i) for i in range(60)))
    return path


def sft_run(talks, tiny_model, store, *more: str) -> list[str]:
    arguments = small_run(talks, tiny_model, store, "corpus.messages_column=messages", *more)
    return [*arguments, "model.template=smollm2", "train.block_size=256", "train.batch_tokens=512",
            "train.tokens=2048"]  # fmt: skip


def record_of(store, label: str) -> dict:
    (path,) = store.glob(f"{label}-*/record.json")
    return json.loads(path.read_text())


@pytest.mark.slow
def test_responses_alone_are_edited_and_learned(tmp_path, talks, tiny_model):
    store = tmp_path / "store"
    # Everything is redrawn, so prompts could not stay by luck.
    rule = ["edit.threshold=1e-9", "edit.source_token=excluded", "edit.strict=false",
            "score.above=1e-9", "edit.temperature=1"]  # fmt: skip
    page = run(sft_run(talks, tiny_model, store, *rule, "edit.k=8"), tmp_path / "log")
    assert "held-out responses bits per byte" in page
    (folder,) = store.glob("corpus/*/train")
    (edits,) = store.glob("edit/trained-*/shards")
    before = {d.id: d for d in local_documents([folder])}
    changed = 0
    for edited in local_documents([edits]):
        source = before[edited.id]
        assert edited.metadata == source.metadata
        for (a, b), (c, d) in zip(source.editable, edited.editable, strict=True):
            assert source.text[:a].endswith(edited.text[max(0, c - 5) : c][-2:])
            changed += source.text[a:b] != edited.text[c:d]
        outside = [_outside(d.text, d.editable) for d in (source, edited)]
        assert outside[0] == outside[1]
    assert changed > 10
    counts = record_of(store, "train/source")["metrics"]
    assert counts["records"] >= 8
    assert 0 < counts["learned"] < counts["tokens"] - counts["padding"]
    assert record_of(store, "evaluate/base")["metrics"]["heldout"]["tokens"] > 50
    (model,) = store.glob("train/edited-*/model")
    assert "generation" in (model / "chat_template.jinja").read_text()


def _outside(text: str, spans) -> list[str]:
    ends = [0, *(end for _, end in spans)]
    starts = [*(start for start, _ in spans), len(text)]
    return [text[a:b] for a, b in zip(ends, starts, strict=True)]


@pytest.mark.slow
def test_controls_seeds_and_a_second_text_in_one_run(tmp_path, tiny_model, corpus_file):
    store, second = tmp_path / "store", tmp_path / "second.jsonl"
    second.write_text(lines({"id": f"s{i}", "text": corpus_text(500 + i)} for i in range(40)))
    arguments = small_run(
        corpus_file, tiny_model, store, "controls=[random_edit,label_smoothing,no_edit]",
        "seeds=[0,1]", "score.below=1", "mix.share=0.25", "mix.corpus.source=local",
        f"mix.corpus.paths=[{second}]", "edit=forced", "presets=[]",
    )  # fmt: skip
    page = run(arguments, tmp_path / "log")
    assert "random_edit" in page
    edited, control = (record_of(store, f"edit/{n}-seed0")["metrics"]
                       for n in ("forced", "random_edit"))  # fmt: skip
    assert edited["changed"] == control["changed"] > 0
    same = record_of(store, "identical/no_edit")["metrics"]
    assert same["sha256"] == record_of(store, "corpus/local")["metrics"]["train_sha256"]
    losses = {}
    for arm in ("source", "edited", "random_edit", "label_smoothing"):
        for seed in (0, 1):
            metrics = record_of(store, f"train/{arm}-seed{seed}")["metrics"]
            assert metrics["tokens"] == 1536
            assert metrics["extra_tokens"] == 6 * 64
            losses[arm, seed] = metrics["loss"]
    assert len(set(losses.values())) == 8
    # Another experiment that wants one of these seeds alone finds its arms under their names.
    again = run([a for a in arguments if not a.startswith(("seeds", "controls"))] + ["seed=1"],
                tmp_path / "log2")  # fmt: skip
    assert "run   train" not in again
    assert "seed 1" in again


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "line"),
    [
        (["model.template=null", "corpus.messages_column=nothing"], "has no column 'nothing'"),
        (["model.template=own"], "has no chat template: model.template=llama3, smollm2, tulu, own"),
        (["train.block_size=4096", "train.batch_tokens=8192", "train.tokens=32768"],
         "train.block_size=4096 is more than the"),
        (["model.lora_rank=2", "model.lora_targets=[q_proj,query]"],
         "model.lora_targets: the model has no layer query; its linear layers: down_proj,"),
        (["controls=[label_smoothing]"], "controls: label_smoothing is for plain text"),
        (["corpus.messages_column=null"], "learns conversations, but corpus holds plain text"),
        (["train.document_masks=true"], "train.document_masks is for plain text"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_refused_before_scoring(
    tmp_path, talks, tiny_model, change, line
):
    command = Command(sft_run(talks, tiny_model, tmp_path / "store") + change, tmp_path / "log")
    assert command.wait() == 2
    assert line in command.output.splitlines()[-1]
    assert not list(tmp_path.glob("store/score/*/record.json"))


@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_embedded_sets_are_conversations_with_names_of_their_own(name):
    seen = set()
    for document in conversations(name):
        made = as_conversation(document, document.metadata[MESSAGES], document.id)
        assert made.editable
        assert all(start < end for start, end in made.editable)
        assert document.id not in seen
        seen.add(document.id)
    assert len(seen) == {"questions": 2500, "explanations": 3093, "instructions": 5593,
                         "code": 664}[name]  # fmt: skip


def test_a_prompt_and_a_response_are_a_conversation(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(lines([{"id": "1", "ask": "Why?", "text": "So."}]))
    config = compose(["+exp=cpt_bio", "corpus=local", f"corpus.paths=[{path}]",
                      "corpus.prompt_column=ask"]).corpus  # fmt: skip
    (document,) = corpus_stage._documents(config)
    assert document.text == "Why?\n\nSo."
    assert document.editable == ((6, 9),)
    assert [m["content"] for m in document.metadata[MESSAGES]] == ["Why?", "So."]
    path.write_text(lines([{"id": "1", "ask": "Why?", "text": " "}]))
    with pytest.raises(UserError, match="record '1' holds no response"):
        list(corpus_stage._documents(config))


def test_a_definition_stands_before_the_prompt(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(lines([{"id": "1", "task": "Add.", "ask": "1 1", "text": "2"}]))
    own = ["+exp=cpt_bio", "corpus=local", f"corpus.paths=[{path}]", "corpus.prompt_column=ask"]
    (document,) = corpus_stage._documents(compose([*own, "corpus.system_column=task"]).corpus)
    assert [m["role"] for m in document.metadata[MESSAGES]] == ["system", "user", "assistant"]
    assert document.text == "Add.\n\n1 1\n\n2"
    with pytest.raises(UserError, match="record '1' has no text in 'nothing'"):
        list(corpus_stage._documents(compose([*own, "corpus.system_column=nothing"]).corpus))


def test_settings_that_a_plan_would_pass_over_are_refused():
    for change, line in (
        ("controls=[no_edit]", r"plan=pretrain does not read controls=\['no_edit'\]"),
        ("mix=instructions", r"does not read mix\.share=0\.5; plans that do: train_on_edits, sft"),
        ("model.template=smollm2", r"does not read model\.template=smollm2"),
    ):
        with pytest.raises(UserError, match=line):
            plan(compose(["+exp=pretrain_ratio", change]))
    with pytest.raises(UserError, match=r"mix\.share=0\.01 of 20 blocks leaves one of the two"):
        plan(compose(["+exp=cpt_bio", "mix=instructions", "mix.share=0.01"]))


def test_overlap_is_counted_by_documents_and_by_items():
    run_ = " ".join(f"w{i}" for i in range(13))
    texts = [f"a {run_} b", f"{run_}", "nothing here"]
    items = {"one": [("i", f"x {run_}"), ("j", "unrelated words")], "two": [("k", "unrelated")]}
    touched, counts = overlap(texts, items)
    assert touched == [True, True, False]
    assert counts == {"one": {"documents": 2, "items": 1, "short": 1},
                      "two": {"documents": 0, "items": 0, "short": 1}}  # fmt: skip


def test_a_second_text_makes_an_arm_of_its_own_and_none_changes_nothing():
    plain = {s.label for s in plan(compose(["+exp=cpt_bio"]))}
    none = {s.label for s in plan(compose(["+exp=cpt_bio", "mix=instructions", "mix.share=0"]))}
    mixed = {s.kind: s for s in plan(compose(["+exp=cpt_bio", "mix=instructions"]))}
    assert plain == none
    assert mixed["train"].label not in plain
    assert mixed["train"].inputs["extra"].config.corpus.source == "instructions"
    assert np.isclose(mixed["train"].config.share, 0.5)
