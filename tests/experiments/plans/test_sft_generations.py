"""Editing repeated: each generation edits the one before, and near-certain tokens are counted."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import lines, run
from conftest import corpus_text
from written import executed

from experiments.config import Config
from experiments.config.compose import compose
from experiments.plans import plan
from experiments.reports import arms, arms_page
from experiments.runner import execute
from experiments.stage import Stage
from experiments.stages import certain
from experiments.stages.corpus import text_folder
from experiments.stages.evaluate import (
    HELD_OUT_TASK,
    PREDICTIONS,
    summarize,
    summarize_held_out,
    tasks,
)
from experiments.store import Store
from toedit.corpora.conversations import messages_of
from toedit.corpora.sources import local_documents
from toedit.document import Document
from toedit.editor import candidates_for, edit_documents, score_documents
from toedit.errors import UserError

PREPARED = ("corpus", "score", "certain", "edit")
"""Kinds of stages that train and evaluate nothing."""

THRESHOLD = 0.99


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Conversations to learn, and others to measure."""
    folder = tmp_path_factory.mktemp("generations")
    for name, first, number in (("learned", 0, 30), ("measured", 100, 24)):
        rows = []
        for i in range(first, first + number):
            asked, answered = corpus_text(2 * i), corpus_text(2 * i + 1)
            talk = [("system", "Be brief."), ("user", asked), ("assistant", answered),
                    ("user", "Sure?"), ("assistant", f"Quite. {answered[:80]}")]  # fmt: skip
            messages = [{"role": role, "content": content} for role, content in talk]
            rows.append({"id": f"{name}-{i}", "messages": messages})
        (folder / f"{name}.jsonl").write_text(lines(rows))
    return folder


def arguments(place: Path, *more: str) -> list[str]:
    """The experiment on an exact prior and local conversations."""
    own = [
        f"{where}.{key}"
        for where, name in (("corpus", "learned"), ("generations.measured", "measured"))
        for key in ("source=local", f"paths=[{place}/{name}.jsonl]", "messages_column=messages",
                    "train_characters=null", "heldout_characters=null", "heldout_share=0.2")
    ]  # fmt: skip
    return ["+exp=sft_generations", *own, "prior=table", "eval=biomedicine_embedded",
            "eval.suite=null", "tracker=none", f"store={place}/store", "engine.rows_per_unit=10",
            *more]  # fmt: skip


class Prepared:
    """Texts and counts of an experiment whose models are not trained."""

    def __init__(self, place: Path, *more: str) -> None:
        self.config: Config = compose(arguments(place, *more))
        chosen = [stage for stage in plan(self.config) if stage.kind in PREPARED]
        self.stages = {f"{stage.kind}/{stage.name}": stage for stage in chosen}
        self.store = Store(place / "store")
        self.records = execute(self.config, chosen, self.store)

    def texts(self, name: str) -> list[Document]:
        stage = self.stages[name]
        return list(local_documents([text_folder(stage, self.store.folder(stage))]))

    def counts(self, name: str) -> tuple[list[str], np.ndarray]:
        return certain.read(self.store.folder(self.stages[f"certain/{name}"]))


@pytest.fixture(scope="module")
def prepared(place) -> Prepared:
    return Prepared(place)


@pytest.mark.parametrize("line", ["generation", "measured"])
def test_each_edit_is_of_the_one_before(prepared, table_prior, line):
    source = "corpus/local" if line == "generation" else "corpus/measured"
    texts = [prepared.texts(n) for n in (source, f"edit/{line}1", f"edit/{line}2")]
    rule, candidates = prepared.config.edit, candidates_for(prepared.config.edit)
    for number in (0, 1):
        assert [d.id for d in texts[number]] == [d.id for d in texts[number + 1]]
        assert prepared.records[f"edit/{line}{number + 1}"]["metrics"]["changed"] > 5
        # The edit worked out again from the text before it, and from the source.
        for begun in (number, 0):
            scored = score_documents(texts[begun], table_prior, candidates)
            again = edit_documents(scored, rule, table_prior.vocabulary, 0, number)
            found = [edited.document.text for edited in again]
            assert (found == [d.text for d in texts[number + 1]]) == (begun == number)
    for before, after in zip(texts[0], texts[2], strict=True):
        pairs = zip(messages_of(before), messages_of(after), strict=True)
        for old, new in pairs:
            assert old["role"] == new["role"]
            assert old["content"] == new["content"] or new["role"] == "assistant"


def counted(document: Document, table: np.ndarray) -> list[int]:
    """Tokens (bytes) and those with p > 0.99, in all and in responses, one after the other."""
    text = document.text
    found = [0, 0, 0, 0]
    for place in range(1, len(text)):
        certain_ = math.exp(table[ord(text[place - 1]), ord(text[place])]) > THRESHOLD
        response = any(start <= place < end for start, end in document.editable)
        for index, counts in enumerate((True, certain_, response, response and certain_)):
            found[index] += counts
    return found


@pytest.mark.parametrize("line", ["generation", "measured"])
def test_near_certain_tokens_are_those_one_counts_by_hand(prepared, table_prior, line):
    sources = ["corpus/local" if line == "generation" else "corpus/measured", f"edit/{line}1",
               f"edit/{line}2"]  # fmt: skip
    shares = []
    for number, name in enumerate(sources):
        documents = prepared.texts(name)
        ids, counts = prepared.counts(f"{line}{number}")
        assert ids == [d.id for d in documents]
        expected = [counted(d, table_prior.table) for d in documents]
        assert counts.tolist() == expected
        metrics = prepared.records[f"certain/{line}{number}"]["metrics"]
        assert [metrics[key] for key in certain.COUNTS] == np.sum(expected, axis=0).tolist()
        assert (metrics["documents"], metrics["failed"]) == (len(documents), [])
        shares.append((metrics["certain"] / metrics["tokens"],
                       metrics["response_certain"] / metrics["response_tokens"]))  # fmt: skip
    first, second, third = shares
    assert first[0] > second[0] > third[0]
    assert first[1] > second[1] > third[1] > 0


def test_strictness_and_threshold_are_those_of_the_rule(prepared, table_prior):
    """The table's values stand in float32: one of them as the threshold tells > from >=."""
    scores = prepared.stages["score/generation0"]
    rule = prepared.config.edit
    near = [certain.stage(scores, "x", replace(rule, threshold=t, strict=s))
            for t, s in ((0.5, True), (0.5, False), (0.6, True))]  # fmt: skip
    assert len({stage.fingerprint for stage in near}) == 3
    elsewhere = replace(rule, temperature=1.0, k=3, sampler="none")
    own = prepared.stages["certain/generation0"]
    assert certain.stage(scores, "x", elsewhere).fingerprint == own.fingerprint
    value = float(np.exp(table_prior.table[ord("e"), ord("r")].astype(np.float64)))
    document = Document("d", "er er er")
    (scored,) = table_prior.score([document.text], candidates_for(rule))
    strict, loose = (
        certain._counts(document, scored, replace(rule, threshold=value, strict=s))
        for s in (True, False)
    )
    assert loose[1] - strict[1] == 3
    assert loose[2:] == loose[:2]  # plain text may change as a whole


def test_another_seed_edits_anew_and_the_source_is_scored_once(place, prepared):
    other = Prepared(place, "seed=1")
    assert other.stages["score/generation0"].fingerprint == (
        prepared.stages["score/generation0"].fingerprint
    )
    for line in ("generation", "measured"):
        for number in (1, 2):
            ours, theirs = (p.texts(f"edit/{line}{number}") for p in (prepared, other))
            assert [d.id for d in ours] == [d.id for d in theirs]
            assert [d.text for d in ours] != [d.text for d in theirs]


def kinds(stages: list[Stage]) -> list[str]:
    return [f"{stage.kind}/{stage.name}" for stage in stages]


def test_seeds_share_generation_0_and_only_add(place):
    one = plan(compose(arguments(place, "seeds=[0]")))
    two = plan(compose(arguments(place, "seeds=[0,1]")))
    assert {stage.label for stage in one} < {stage.label for stage in two}
    found = kinds(two)
    assert len(found) == len(set(found))
    assert [name for name in found if name.startswith("score/generation")] == [
        "score/generation0", "score/generation1-seed0", "score/generation2-seed0",
        "score/generation1-seed1", "score/generation2-seed1",
    ]  # fmt: skip
    assert [name for name in found if name.startswith("evaluate/")] == [
        "evaluate/base", *(f"evaluate/generation{number}-seed{seed}"
                           for seed in (0, 1) for number in (0, 1, 2))
    ]  # fmt: skip
    for stage in two:
        if stage.kind == "train" and not stage.name.startswith("generation0"):
            assert stage.inputs["text"].name == stage.name
            assert stage.inputs["text"].config.seed == stage.config.seed


def test_the_first_generations_are_the_arms_of_one_edit(place):
    """Table 16's generations 0 and 1 are table 4's source and ToEdit: nothing is trained twice."""
    ours = {f"{s.kind}/{s.name}": s.fingerprint for s in plan(compose(arguments(place)))}
    once = {f"{s.kind}/{s.name}": s.fingerprint
            for s in plan(compose(arguments(place, "plan=train_on_edits")))}  # fmt: skip
    for kind in ("train", "evaluate"):
        for number, arm in enumerate(("source", "edited")):
            assert ours[f"{kind}/generation{number}"] == once[f"{kind}/{arm}"]
    assert ours["evaluate/base"] == once["evaluate/base"]


def test_one_text_for_both_is_scored_and_edited_once(place):
    same = [a.replace("measured.jsonl", "learned.jsonl") for a in arguments(place)]
    found = kinds(plan(compose(same)))
    assert not [name for name in found if "measured" in name]
    assert len([name for name in found if name.startswith("certain/")]) == 3


def test_a_second_text_stands_beside_every_generation(place):
    more = ["mix=instructions", "generations.number=3"]
    stages = plan(compose(arguments(place, *more)))
    trained = [stage for stage in stages if stage.kind == "train"]
    assert [stage.name for stage in trained] == [f"generation{n}" for n in range(4)]
    for stage in trained:
        assert stage.inputs["extra"].name == "extra"
        assert stage.config.share == 0.5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["edit.threshold=null", "edit.ceiling=0.1", "score.below=0.1"],
         r"edit\.threshold=null, .* set edit\.threshold"),
        (["model=gpt2"], "continues a trained model"),
        (["generations.number=0"], r"generations\.number"),
        (["corpus.messages_column=null"], "corpus holds plain text"),
    ],
)  # fmt: skip
def test_what_cannot_be_carried_out_is_refused(place, change, message):
    with pytest.raises(UserError, match=message) as refused:
        plan(compose(arguments(place, *change)))
    assert "\n" not in str(refused.value)


RIGHT = {"base": 5, "generation0": 4, "generation1": 6, "generation2": 1}
"""Items of ten that a model gets right on PIQA."""


def test_models_are_compared_with_generation_0_item_by_item(tmp_path):
    config = compose(["+exp=sft_generations", f"store={tmp_path}", "tracker=none"])

    def measure(stage):
        numbers = {"steps": 1, "tokens": 2048, "failed": 0, "eligible_share": 0.1, "changed": 3,
                   "changed_per_10k": 20.0}  # fmt: skip
        tables = {}
        if stage.kind == "corpus":
            names = ("train_documents", "train_characters", "train_available", "benchmark_items")
            numbers = dict.fromkeys(names, 0)
        if stage.kind == "certain":
            near = [8 - 2 * int(stage.arm[-1]), 9 - 2 * int(stage.arm[-1])]
            tables[certain.DOCUMENTS] = [
                {"id": name, "tokens": 50, "certain": n, "response_tokens": 20,
                 "response_certain": n // 2} for name, n in zip("ab", near, strict=True)
            ]  # fmt: skip
            numbers = {"documents": 2, "tokens": 100, "response_tokens": 40}
        if stage.kind == "evaluate":
            first = tasks(config.eval)[0]
            for task in tasks(config.eval):
                right = RIGHT[stage.arm] if task == first else 5
                rows = [{"item": str(i), "value": float(i < right), "gold": None}
                        for i in range(10)]  # fmt: skip
                tables[f"{PREDICTIONS}/{task.name}.parquet"] = rows
                numbers[task.name] = summarize(task, rows)
            held = [{"item": str(i), "nll": 9.0 + i, "bytes": 9, "tokens": 3} for i in (0, 1)]
            tables[f"{PREDICTIONS}/{HELD_OUT_TASK}.parquet"] = held
            numbers[HELD_OUT_TASK] = summarize_held_out(held)
        return numbers, tables

    found = arms.results(*executed(config, measure))
    first, average = tasks(config.eval)[0], found["rows"][-1]
    own = next(row for row in found["rows"] if row["metric"].startswith(first.label))
    for arm, change in (("base", 10), ("generation1", 20), ("generation2", -30)):
        assert math.isclose(own["differences"][arm]["value"], change)
        assert math.isclose(average["differences"][arm]["value"], change / 5)
        assert own["differences"][arm]["low"] <= change <= own["differences"][arm]["high"]
    assert own["arms"]["base"]["value"] == 50
    assert list(own["arms"]) == list(RIGHT)
    page = arms_page.markdown(found)
    shown = [line for line in page.splitlines() if line.startswith("| questions, all tokens")]
    assert [line.split("|")[5].split()[0] for line in shown] == ["17.00", "13.00", "9.00"]
    assert "×0.765 [" in shown[1]
    for stated in (12.50, 11.76, 11.08, 69.01, 69.26, 69.39):
        assert f"{stated:.2f}" in page


@pytest.mark.slow
def test_the_whole_experiment_and_its_report(place, prepared, tiny_model, tmp_path):
    own = [
        f"model.model={tiny_model}", "model.separator=null", "train.tokens=2048",
        "train.block_size=512", "train.batch_tokens=512", "train.warmup_steps=1", "seeds=[0,1]",
        "eval.window=512",
    ]  # fmt: skip
    printed = run(arguments(place, *own), tmp_path / "log")
    (folder,) = (place / "store" / "reports").iterdir()
    found = json.loads((folder / "results.json").read_text())
    page = (folder / "results.md").read_text()
    assert folder.name in printed
    shares = {(row["line"], row["part"], row["generation"]): row for row in found["shares"]}
    assert len(shares) == 2 * 2 * 3
    seeds = [prepared, Prepared(place, "seed=1")]
    for (line, part, number), row in shares.items():
        columns = [0, 1] if part == "all tokens" else [2, 3]
        counts = [p.counts(f"{line}{number}")[1].sum(axis=0)[columns] for p in seeds]
        whole, near = np.mean(counts, axis=0)
        assert (row["tokens"], row["certain"]) == (whole, near)
        assert row["share"]["value"] == pytest.approx(100 * near / whole, rel=0.05)
        assert row["share"]["low"] < row["share"]["value"] < row["share"]["high"]
        if number:
            before = shares[line, part, number - 1]["share"]["value"]
            expected = math.log(row["share"]["value"] / before)
            assert row["change"]["value"] == pytest.approx(expected, abs=0.02)
            assert row["change"]["low"] <= row["change"]["value"] <= row["change"]["high"]
            assert row["change"]["value"] < 0
        else:
            assert row["change"] is None
    arms = ["base", "generation0", "generation1", "generation2"]
    bits = found["rows"][0]
    assert list(bits["arms"]) == arms
    assert list(bits["differences"]) == ["base", "generation1", "generation2"]
    seeds = {name: own["by_seed"] * (2 if name == "base" else 1)
             for name, own in bits["arms"].items()}  # fmt: skip
    for arm, difference in bits["differences"].items():
        pairs = zip(seeds[arm], seeds["generation0"], strict=True)
        assert difference["by_seed"] == pytest.approx([own - other for own, other in pairs])
    assert found["editing"]["generation1-seed1"]["changed"] > 0
    for text in ("p > 0.99", "minus generation0", "4671834", "over seeds", "×0.941"):
        assert text in page
