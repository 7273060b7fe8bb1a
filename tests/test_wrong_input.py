"""Every mistake ends in one line that helps, with exit code 2, and never in a traceback."""

import gzip
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import Command, small_run
from conftest import corpus_text

from toedit.priors.loading import load_tokenizer

RUN, EDIT, STORE = "experiments.run", "toedit.__main__", "experiments.store.__main__"

CONFIGURATION = [
    ([], "no experiment given; add +exp=NAME, one of: collapse_generations, cpt_bio"),
    (["+exp=cpt_boi"], "unknown experiment 'cpt_boi'; did you mean 'cpt_bio'"),
    (["+exp=paper/cpt"], ", cpt_bio, cpt_bio_gpt2, cpt_finance, cpt_math"),
    (["exp=cpt_bio"], "write +exp=NAME"),
    (["+experiment=cpt_bio"], "has no 'experiment'"),
    (["cpt_bio"], "cannot read the argument 'cpt_bio'; write FIELD=VALUE"),
    (["+exp=cpt_bio", "--nothing"], "unknown option '--nothing'"),
    (
        ["+exp=cpt_bio", "--cfg", "tracker=none"],
        "invalid choice: 'tracker=none' (choose from 'job'",
    ),
    (["+exp=cpt_bio", "seed=<1>"], "with quotes around special characters"),
    (["+exp=cpt_bio", "edit=paper"], "did you mean 'paper_text'"),
    (["+exp=cpt_bio", "tracker=mlflow"], "allowed: none, wandb"),
    (["+exp=cpt_bio", "nogroup=1"], "has no 'nogroup'"),
    (["+exp=cpt_bio", "+typo=1"], "the configuration has no 'typo'"),
    (["+exp=cpt_bio", "+edit.typo=1"], "edit has no 'typo'"),
    (["+exp=cpt_bio", "edit.treshold=0.9"], "did you mean 'threshold'"),
    (["+exp=cpt_bio", "edit.threshold=1.5"], "edit.threshold=1.5 is not a probability"),
    (["+exp=cpt_bio", "edit.threshold=0"], "edit.threshold=0"),
    (["+exp=cpt_bio", "edit.threshold=high"], "edit.threshold"),
    (["+exp=cpt_bio", "edit.sampler=topk"], "did you mean 'top_k'"),
    (
        ["+exp=cpt_bio", "edit.temperature=0"],
        "edit.temperature=0.0 is out of range; allowed: 1e-09",
    ),
    (["+exp=cpt_bio", "seed=abc"], "could not be converted to Integer"),
    (["+exp=cpt_bio", "seed=-1"], "seed=-1 is out of range"),
    (["+exp=cpt_bio", "plan=none"], "plan='none' is unknown"),
    (["+exp=cpt_bio", "train.tokens=0"], "train.tokens=0 must be finite and greater than 0"),
    (["+exp=cpt_bio", "train.tokens=10"], "less than one step"),
    (["+exp=cpt_bio", "train.batch_tokens=500"], "multiple of block_size"),
    (["+exp=cpt_bio", "train.precision=fp16"], "allowed: bfloat16, float32"),
    (["+exp=cpt_bio", "train.beta1=1"], "train.beta1=1.0 is out of range"),
    (["+exp=cpt_bio", "corpus.heldout_share=1"], "corpus.heldout_share"),
    (["+exp=cpt_bio", "corpus.source=web"], "corpus.source='web' is unknown"),
    (["+exp=cpt_bio", "corpus=local"], "corpus.source=local needs corpus.paths=[FILE,...]"),
    (["+exp=cpt_bio", "corpus=local", "corpus.paths=[{dir}/none.jsonl]"], "does not exist"),
    (["+exp=cpt_bio", "prior.overlap=9999"], "prior.overlap=9999"),
    (["+exp=cpt_bio", "prior.dtype=int8"], "allowed: bfloat16, float16, float32"),
    (["+exp=cpt_bio", "engine.kind=slrum"], "engine.kind='slrum' is unknown"),
    (["+exp=cpt_bio", "engine.workers=0"], "engine.workers=0"),
    (["+exp=cpt_bio", "arms=[sources]"], "did you mean 'source'"),
    (["+exp=cpt_bio", "presets=[forcd]"], "did you mean 'forced'"),
    (["+exp=cpt_bio", "eval.suite=biomed"], "did you mean 'biomedicine_"),
    (["+exp=cpt_bio", "+eval.limits.medqa=3"], "did you mean 'medqa_en'"),
    (["+exp=cpt_bio", "eval.limits.medqa_en=0"], "eval.limits.medqa_en=0 must be at least 1"),
    (["+exp=cpt_bio", "force=trian", "dry_run=true"], "did you mean 'train'"),
    (["+exp=cpt_bio", "device=h1", "dry_run=true"], "did you mean 'h100'"),
    (["+exp=cpt_bio", "store={dir}/file.txt/store"], "cannot write the store"),
    (["+exp=cpt_bio", "store=/sys/none"], "cannot write the store '/sys/none': "),
    (["+exp=cpt_bio", "store={dir}/newer"], "has format 99, this version reads up to 1: update"),
    (["+exp=cpt_bio", "store={dir}/broken"], "is damaged; write"),
]

SMALL = [
    (["corpus.text_column=body"], "has no column 'body'; its columns: id, text"),
    (["corpus.paths=[{dir}/list.jsonl]"], "column 'text' holds list, not text"),
    (["corpus.paths=[{dir}/twins.jsonl]"], "two documents have the id 'a'"),
    (["model.model={dir}/nowhere"], "model folder '{dir}/nowhere' does not exist"),
    (["model.model={dir}/empty"], "cannot load the"),
    (["model.model={dir}/pickled"], "cannot load the model"),
    (["model.model={dir}/evil"], "contains custom code"),
    (["model.separator=none"], "is no token of the model"),
    (["prior=smollm2", "prior.model={tiny}", "prior.device=cuda:7"], "try device=cpu"),
    (["train.tokens=1280000"], "lower train.tokens"),
    (["train.learning_rate=1e30"], "training diverged"),
]

TOEDIT = [
    ([], "the following arguments are required: COMMAND; see toedit --help"),
    (["edti"], "invalid choice: 'edti'"),
    (["edit", "{dir}/good.jsonl"], "required: --output"),
    (["edit", "{dir}/good.jsonl", "--sampler", "topk"], "did you mean 'top_k'"),
    (["edit", "{dir}/good.jsonl", "--threshold", "high"], "invalid float value: 'high'"),
    (["edit", "{dir}/good.jsonl", "--threshold", "2"], "--threshold 2.0 is not a probability"),
    (["edit", "{dir}/good.jsonl", "--k", "0"], "--k 0 is out of range"),
    (["edit", "{dir}/good.jsonl", "--workers", "0"], "--workers 0 is out of range; allowed: 1"),
    (["edit", "{dir}/good.jsonl", "--k", "5000"], "exceeds the prior's vocabulary of 400"),
    (["edit", "{dir}/none.jsonl"], "does not exist"),
    (["edit", "{dir}/x.csv"], "has an unknown suffix; allowed: .parquet"),
    (["edit", "{dir}/empty"], "no readable file"),
    (["edit", "{dir}/good.jsonl", "--text-column", "body"], "its columns: id, text"),
    (["edit", "{dir}/list.jsonl"], "holds list, not text"),
    (["edit", "{dir}/broken.jsonl"], "'broken.jsonl' line 2 is not JSON"),
    (["edit", "{dir}/array.jsonl"], "line 1 is not a JSON object"),
    (["edit", "{dir}/surrogate.jsonl"], "(a lone surrogate or a broken sequence)"),
    (["edit", "{dir}/latin.jsonl"], "'latin.jsonl' line 1: byte 13 is not valid UTF-8"),
    (["edit", "{dir}/broken.parquet"], "broken.parquet' is damaged"),
    (["edit", "{dir}/cut.jsonl.gz"], "cut.jsonl.gz' is damaged"),
    (["edit", "{dir}/good.jsonl", "--prior", "{dir}/empty"], "cannot load the"),
    (["edit", "{dir}/good.jsonl", "--prior", "{dir}/mute"], "cannot load the tokenizer"),
    (["edit", "{dir}/good.jsonl", "--prior", "{dir}/other"], "tokens but its model only 400"),
    (["edit", "{dir}/good.jsonl", "--backend", "vllm"], "needs the package vllm"),
    (["edit", "{dir}/good.jsonl", "--vllm", "a=1"], "--vllm needs --backend vllm"),
    (["score", "{dir}/good.jsonl", "--backend", "vllm", "--vllm", "fp8"], "no NAME=VALUE"),
    (["edit", "{dir}/twins.jsonl"], "two documents have the id 'a' (twins.jsonl row 0, "),
    (["edit", "{dir}/odd"], "odd/b.parquet' has other columns than"),
    (
        ["edit", "{dir}/good.jsonl", "--messages-column", "text"],
        "must be a list of {role, content}",
    ),
    (["edit", "no/such-dataset"], "is not in the cache, and HF_HUB_OFFLINE is set"),
    (["edit", "{dir}/good.jsonl", "--generations", "0"], "--generations 0 is out of range"),
    (["score", "{dir}/none.jsonl"], "does not exist"),
    (["diff", "{dir}/good.jsonl", "{dir}/other.jsonl"], "is not in"),
    (["edit", "{dir}/good.jsonl", "--prior", "no/such-model"], "without a network use 'embedded'"),
    (["edit", "{dir}/good.jsonl", "--output", "{dir}/file.txt/out"], "not a directory; change"),
    (["edit", "{dir}/good.jsonl", "--output", "/sys/none"], "cannot read or write at '/sys/none'"),
    (["edit", "{dir}/good.jsonl", "--output", "{dir}/full"], "is not empty and no output"),
]

CARE = [
    ([], "required: ls|gc|verify"),
    (["lss"], "invalid choice: 'lss'"),
    (["ls", "--store", "{dir}/none"], "no store at"),
    (["verify", "--store", "{dir}/newer"], "has format 99"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_model) -> Path:
    """A folder of things that are wrong."""
    folder = tmp_path_factory.mktemp("wrong")
    rows = [{"id": f"d{i}", "text": corpus_text(i)} for i in range(30)]
    good = "".join(json.dumps(row) + "\n" for row in rows)
    for name, text in {
        "good.jsonl": good,
        "file.txt": "a file",
        "other.jsonl": '{"id": "elsewhere", "text": "x"}\n',
        "x.csv": "a,b",
        "list.jsonl": '{"text": ["a"]}\n',
        "twins.jsonl": '{"id": "a", "text": "x"}\n' * 2,
        "broken.jsonl": '{"text": "a"}\n{"text": \n',
        "array.jsonl": "[1]\n",
        "surrogate.jsonl": '{"text": "\\ud800"}\n',
        "broken.parquet": "PAR1 no PAR1",
        "newer/format.json": '{"format": 99}',
        "broken/format.json": "{",
        "full/mine.txt": "mine",
        "damaged/corpus/x-0123456789ab/record.json": "{",
        "damaged/format.json": '{"format": 1}',
        "pickled/pytorch_model.bin": "x",
        "evil/evil.py": "open('executed', 'w')\n",
    }.items():
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text(text)
    (folder / "empty").mkdir()
    (folder / "odd").mkdir()
    for name, value in (("a", 1), ("b", "one")):
        table = pa.table({"text": ["x"], "n": [value]})
        pq.write_table(table, folder / "odd" / f"{name}.parquet")
    (folder / "latin.jsonl").write_bytes(b'{"text": "caf\xe9"}\n')
    (folder / "cut.jsonl.gz").write_bytes(gzip.compress(good.encode())[:-20])
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_model / name, folder / "pickled" / name)
        shutil.copy(tiny_model / name, folder / "evil" / name)
    for name in ("mute", "other"):  # a model without a tokenizer, and with one that is too large
        shutil.copytree(tiny_model, folder / name)
    for path in (folder / "mute").glob("*token*"):
        path.unlink()
    larger = load_tokenizer(str(tiny_model))
    larger.add_tokens([f"<{i}>" for i in range(500)])
    larger.save_pretrained(folder / "other")
    config = {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Config",
              "AutoModelForCausalLM": "evil.Model"}}  # fmt: skip
    (folder / "evil" / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture()
def filled(place, tiny_model):
    """Puts the paths of things into arguments and messages."""
    return lambda text: text.replace("{dir}", str(place)).replace("{tiny}", str(tiny_model))


def refused(command: Command, needle: str) -> str:
    """The one line a refused command ends in."""
    assert command.wait() == 2, command.output[-2000:]
    assert "Traceback" not in command.output
    lines = [line for line in command.output.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, command.output[-2000:]
    assert command.output.rstrip().endswith(lines[0])
    assert needle in lines[0], lines[0]
    return lines[0]


CASES = [(module, *case) for module, cases in ((RUN, CONFIGURATION), (EDIT, TOEDIT), (STORE, CARE))
         for case in cases]  # fmt: skip


@pytest.mark.parametrize(
    ("module", "arguments", "needle"),
    CASES,
    ids=lambda v: " ".join(v) if isinstance(v, list) else "",
)
def test_a_mistake_is_one_line(module, arguments, needle, filled, tiny_model, tmp_path):
    arguments = [filled(a) for a in arguments]
    if (
        module == EDIT
        and len(arguments) > 1
        and "required" not in needle
        and "diff" not in arguments
    ):
        arguments += [] if "--output" in arguments else ["--output", str(tmp_path / "out")]
        arguments += [] if "--prior" in arguments else ["--prior", str(tiny_model)]
    elif module == RUN and not any(a.startswith("store=") for a in arguments):
        arguments += [f"store={tmp_path / 'store'}"]
    refused(Command(arguments, tmp_path / "log", module), filled(needle))


@pytest.mark.parametrize(
    ("changes", "needle"), SMALL, ids=lambda v: " ".join(v) if isinstance(v, list) else ""
)
def test_a_mistake_that_only_running_shows_is_one_line(
    changes, needle, place, filled, tiny_model, tmp_path
):
    base = small_run(place / "good.jsonl", tiny_model, tmp_path / "store", "arms=[source]")
    command = Command([*base, *map(filled, changes)], tmp_path / "log")
    refused(command, filled(needle))
    assert not Path("executed").exists()


def test_there_are_enough_cases():
    assert len(CASES) + len(SMALL) >= 60
