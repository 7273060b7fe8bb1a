"""Rehearsals: the rule leaves the experiment what it is, and every paper experiment runs whole."""

import dataclasses
import functools
import json
import re
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from conftest import corpus_text

from experiments.config import Config
from experiments.config.compose import compose
from experiments.config.headers import names
from experiments.costs.estimate import estimate
from experiments.plans import plan
from experiments.rehearsal import PAPER, rehearse
from experiments.rehearsal.rule import shrunk
from experiments.stage import Stage
from toedit.errors import UserError

EXPERIMENTS = [name for name in names() if name.startswith(PAPER)]

NUMBERS = {
    "name", "note", "store", "device", "seeds", "launch", "model.scratch",
    *(f"{place}.{name}" for place in ("corpus", "mix.corpus", "generations.measured")
      for name in ("read_characters", "train_characters", "heldout_characters", "heldout_share")),
    "generations.number", "prior.max_length", "prior.overlap", "prior.batch_tokens",
    *(f"train.{name}" for name in ("tokens", "block_size", "batch_tokens", "warmup_steps",
      "micro_batch", "fsdp", "compile", "checkpoint_steps", "keep_tokens")),
    "mixture.ratios", "mixture.tokens", "mixture.heldout_characters",
    "selection.documents", "selection.repetitions",
    *(f"eval.{name}" for name in ("limits", "heldout_tokens", "first_tokens", "window",
      "allow_cut")),
    *(f"statistics.{name}" for name in ("words", "reference_words", "chunks", "chunk_words",
      "priors", "repetitions", "density_documents", "embedded", "encoder_length")),
    "engine.workers", "engine.rows_per_unit",
}  # fmt: skip
"""All that the rule may touch."""


def changed(one, other, prefix: str = "") -> set[str]:
    """Fields in which two configurations differ."""
    found = set()
    for spec in dataclasses.fields(one):
        before, after = getattr(one, spec.name), getattr(other, spec.name)
        if f"{prefix}{spec.name}" not in NUMBERS and dataclasses.is_dataclass(before):
            found |= changed(before, after, f"{prefix}{spec.name}.")
        elif before != after:
            found.add(f"{prefix}{spec.name}")
    return found


def shape(stages: list[Stage]) -> set:
    """What kinds of stages there are, and which kinds they read as what."""
    return {
        (stage.kind, tuple(sorted({(re.sub(r"\d+$", "", name), read.kind)
                                   for name, read in stage.inputs.items()})))
        for stage in stages
    }  # fmt: skip


def arms(stages: list[Stage]) -> list[str]:
    return [stage.name for stage in stages if stage.kind == "train"]


@pytest.fixture(scope="module")
def own_text(tmp_path_factory) -> str:
    """A user's text, for the experiments whose text was never published."""
    path = tmp_path_factory.mktemp("own") / "news.jsonl"
    path.write_text("".join(json.dumps({"text": corpus_text(i) * 8}) + "\n" for i in range(200)))
    return f"corpus.paths=[{path}]"


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_rule_touches_numbers_alone_and_keeps_the_plan(name, own_text):
    config = compose([f"+exp={name}", own_text])
    small = shrunk(config)
    assert changed(config, small) <= NUMBERS
    assert small.train.steps <= 10
    assert small.train.warmup <= small.train.steps
    real, stages = plan(config), plan(small)
    assert shape(stages) == shape(real)
    if config.plan == "pretrain":
        assert arms(stages) == arms(real)[:2]
    else:
        assert arms(stages) == arms(real)
    costs = estimate(stages)
    assert sum(costs[stage].tokens for stage in stages if stage.kind == "train") < 2e5


def test_what_is_rehearsed_is_never_counted_as_a_result():
    config = compose(["+exp=paper/cpt_bio", "store=here"])
    small = shrunk(config)
    assert (small.name, small.store) == ("rehearsal/paper/cpt_bio", "here/rehearsal")
    assert small.note.startswith("A rehearsal: ")
    assert config.name == "paper/cpt_bio"


def test_training_is_spread_over_the_accelerators_that_there_are():
    config = compose(["+exp=paper/pretrain_gpt2"])
    one, both = shrunk(config), shrunk(config, gpus=2)
    alone, two = one.train, both.train
    assert (one.launch.kind, one.launch.processes) == ("single", 1)
    assert (both.launch.kind, both.launch.processes) == ("torchrun", 2)
    assert (alone.fsdp, alone.compile) == (False, False)
    assert (two.fsdp, two.compile) == (True, True)
    assert two.batch_tokens == 2 * alone.batch_tokens
    assert shrunk(config).mixture.tokens * 5 == alone.tokens  # five epochs, as in the experiment
    assert alone.keep_tokens == [alone.tokens // 5]


def test_an_embedded_experiment_is_refused():
    with pytest.raises(UserError, match="is for experiments at the paper's scale"):
        rehearse(compose(["+exp=cpt_bio"]))


def test_a_hub_that_is_silent_is_one_line_and_no_stand_in(monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="set HF_HUB_OFFLINE=1 to rehearse on stand-ins"):
        rehearse(compose(["+exp=paper/cpt_bio"]))


@pytest.mark.parametrize(
    ("exp", "change", "line"),
    [
        ("cpt_bio", "corpus.hub=instruction-pretrain/medicine", "knows no data set"),
        ("cpt_bio", "prior.model=meta-llama/Llama-3-8B", "did you mean 'meta-llama/Meta-Llama-3"),
        ("pretrain_gpt2", "mixture.tokenizer=gpt2", "knows no model 'gpt2' without the hub"),
        ("cpt_bio", "corpus.heldout_share=2", "corpus.heldout_share=2.0 must lie between"),
    ],
)
def test_a_name_that_does_not_exist_is_named(exp, change, line, tmp_path):
    with pytest.raises(UserError, match=line):
        rehearse(compose([f"+exp=paper/{exp}", change, f"store={tmp_path}"]))


def test_the_head_of_a_file_elsewhere_is_read_alone(tmp_path, monkeypatch):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from experiments.rehearsal.texts import DOCUMENTS, head
    from toedit.corpora.sources import local_documents

    monkeypatch.setenv("TOEDIT_CACHE", str(tmp_path / "cache"))
    rows = [{"id": str(i), "text": f"text {i}"} for i in range(2 * DOCUMENTS)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    for suffix, codec in (("jsonl", None), ("jsonl.gz", "gzip"), ("jsonl.zst", "zstd")):
        with pa.output_stream(str(tmp_path / f"a.{suffix}"), compression=codec) as stream:
            stream.write("".join(json.dumps(row) + "\n" for row in rows).encode())
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = f"http://127.0.0.1:{server.server_port}"
        for name in ("a.parquet", "a.jsonl", "a.jsonl.gz", "a.jsonl.zst"):
            path = head(f"{place}/{name}")
            texts = [document.text for document in local_documents([path])]
            assert texts == [row["text"] for row in rows[:DOCUMENTS]], name
        with pytest.raises(UserError, match="cannot read"):
            head(f"{place}/gone.parquet")
        server.shutdown()


FAMILY = {"llama3": "llama", "olmo": "olmo", "gpt2": "gpt2"}
SECONDS: dict[str, float] = {}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("rehearsal")


@pytest.fixture()
def rehearsed(request, store, capsys):
    """An experiment, as it was asked for and as it was rehearsed, what was printed, and where."""
    return rehearsal(request.param, store, capsys)


def rehearsal(name: str, store, capsys, *more: str) -> tuple[Config, Config, str]:
    from experiments.run import run

    arguments = [f"+exp={name}", f"store={store}", "tracker=none", *more]
    started = time.monotonic()
    run(compose([*arguments, "rehearse=true"]))
    SECONDS[name] = time.monotonic() - started
    printed = capsys.readouterr().out
    return compose(arguments), rehearse(compose(arguments)), printed


def family_of(config: Config) -> str:
    """The family of the real model, by what the configuration calls it."""
    if config.model.scratch is not None:
        return config.model.scratch.family
    return next(kind for word, kind in (("llama", "llama"), ("OLMo", "olmo"))
                if word in config.model.model.replace("Llama", "llama"))  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_paper_experiment_is_rehearsed(name, store, capsys, own_text):
    config, small, printed = rehearsal(name, store, capsys, own_text)
    stages = plan(small)
    assert shape(stages) == shape(plan(config))
    for stage in stages:
        (folder,) = (store / "rehearsal" / stage.kind).glob(f"*-{stage.fingerprint}")
        record = json.loads((folder / "record.json").read_text())
        if stage.kind == "train":
            (saved,) = (json.loads((folder / "model" / "config.json").read_text()),)
            assert saved["model_type"] == family_of(config)
            assert record["metrics"]["steps"] == small.train.steps
        if stage.kind == "edit" and stage.name == "forced":
            assert record["metrics"]["changed"] > 0
    assert "rehearsal: " in printed
    reports = (store / "rehearsal" / "reports").glob(f"rehearsal-{name.replace('/', '-')}-*")
    assert [(path / "results.md").is_file() for path in reports] == [True]
    with capsys.disabled():
        print(f"\n{name}: {SECONDS[name]:.0f} s, {sum(SECONDS.values()):.0f} s so far")


@pytest.mark.slow
def test_tables_do_not_count_a_rehearsal(store, capsys):
    from experiments.analysis.evidence import Evidence

    name = "paper/sft_cot"
    if name not in SECONDS:
        rehearsal(name, store, capsys)
    assert not Evidence([store]).runs
    own = Evidence([store / "rehearsal"])
    assert f"rehearsal/{name}" in {run.experiment for run in own.runs}
    assert not own.results(name, "evaluate")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("exp", "change", "line"),
    [
        ("sft_cot", "model.template=tulo", "model.template='tulo' is unknown; did you mean 'tulu'"),
        ("sft_cot", "corpus.messages_column=message", "has no column 'message'; its columns: data"),
        ("sft_oss_instruct", "corpus.text_column=solutions", "has no column 'solutions'"),
        (
            "sft_flan_v2",
            "corpus.files=zip://data/flan_v2.jsonl::hf://datasets/princeton-nlp/less_data/less-data.zip",
            "data/flan_v2.jsonl",
        ),
        ("cpt_bio_llama3", "model.lora_targets=[query]", "the model has no layer query"),
        ("sft_natural_instructions", "corpus.system_column=definitions", "'definitions'"),
    ],
)
def test_a_typo_ends_a_rehearsal_in_one_line(exp, change, line, store, capsys):
    with pytest.raises(UserError) as stop:
        rehearsal(f"paper/{exp}", store, capsys, change)
    assert line in str(stop.value)
    assert "\n" not in str(stop.value)
