"""Fixtures: an exact prior, and a tiny real model with a real byte-level tokenizer."""

import json
import os
import string
import subprocess
from importlib.util import find_spec
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile("busy", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("busy")
os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

SENTENCES = [
    "The quick brown fox jumps over the lazy dog, and every cohort needs a quiet quorum.",
    "Vitamin D levels were measured in patients with multiple sclerosis; quality of life improved.",
    "Does aspirin prevent colorectal cancer? The evidence from randomised trials is equivocal.",
    "Insulin resistance and quantitative sequencing of queried genes were assessed in parallel.",
]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark the tests of Slurm, which run one at a time: a machine is the node of one cluster."""
    for item in items:
        if "cluster" in getattr(item, "fixturenames", ()):
            item.add_marker("slurm")


def with_vllm(test):
    """Mark a test that needs vLLM, which has an environment of its own."""
    absent = find_spec("vllm") is None
    test = pytest.mark.skipif(absent, reason="vllm is not installed: make test-vllm")(test)
    return pytest.mark.slow(pytest.mark.vllm(test))


@pytest.fixture(autouse=True)
def restored_environment():
    """Give every test the same variables: the tracker, for one, sets where it writes for good."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(autouse=True)
def closed_terminal():
    """Every test leaves what this process shows as it was, and the next begins anew."""
    from toedit import terminal

    begun = vars(terminal.State())
    vars(terminal.state).update(begun)
    yield
    left = {name: value for name, value in vars(terminal.state).items() if name != "level"}
    assert left == {name: begun[name] for name in left}, "output goes elsewhere after this test"


def corpus_text(number: int) -> str:
    """A document that shares no run of 13 words with another."""
    words = " ".join(SENTENCES).split()
    shift = [words[(i * (number + 3) + number) % len(words)] for i in range(60 + number % 7)]
    return f"Study {number}. " + " ".join(shift)


def build_tiny_model(
    folder: Path, begin: bool = False, width: int = 32, sharp: float = 40.0
) -> Path:
    """A random two-layer Llama with a trained byte-level BPE tokenizer, saved as safetensors."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=384,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*SENTENCES, string.printable], trainer)
    if begin:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<|im_start|> $A", special_tokens=[("<|im_start|>", 1)]
        )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
    )
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=400,  # more rows than tokens, as in padded vocabularies
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            bos_token_id=1,
            eos_token_id=2,
        )
    )
    with torch.no_grad():
        model.lm_head.weight.mul_(sharp)  # sharp enough that some tokens are nearly certain
    model.save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny_model_with_begin(tmp_path_factory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("tiny-begin"), begin=True)


@pytest.fixture(scope="session")
def wide_model(tmp_path_factory) -> Path:
    """A tiny model whose attention heads are as wide as vLLM needs them."""
    return build_tiny_model(tmp_path_factory.mktemp("wide"), width=128, sharp=2.5)


@pytest.fixture(scope="session")
def wide_model_with_begin(tmp_path_factory) -> Path:
    return build_tiny_model(tmp_path_factory.mktemp("wide-begin"), True, width=128, sharp=2.5)


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory) -> Path:
    """A random sentence encoder over a few words."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("tiny-encoder")
    words = sorted(
        {*" ".join(SENTENCES).lower().split(), *["the", "cat", "sat", "a", "dog", "ran", "and"]}
    )
    (folder / "vocab.txt").write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words])
    )
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"))
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
             "intermediate_size": 32}  # fmt: skip
    BertModel(BertConfig(vocab_size=len(words) + 5, **shape)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def adaptllm_items(tmp_path_factory) -> Path:
    """Stand-ins for items of some AdaptLLM tasks, as the hub has them."""
    from experiments.rehearsal.items import write_adaptllm_items

    folder = tmp_path_factory.mktemp("adaptllm")
    write_adaptllm_items(folder, ["FPB", "FiQA_SA", "Headline", "ChemProt", "NER", "ConvFinQA"])
    return folder


@pytest.fixture(scope="session")
def table_prior():
    from toedit.priors.table import TablePrior

    return TablePrior()


@pytest.fixture()
def corpus_file(tmp_path) -> Path:
    """A jsonl corpus of 40 documents with ids and a further column."""

    path = tmp_path / "corpus.jsonl"
    rows = [{"id": f"doc-{i}", "text": corpus_text(i), "year": 1990 + i} for i in range(40)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture()
def edit(tiny_model):
    """Runs ``toedit edit`` with the tiny model and a rule under which it changes something."""
    from commands import cli

    def run(*arguments) -> int:
        options = ["--prior", tiny_model, "--threshold", "1e-6", "--preset", "forced"]
        return cli("edit", *arguments, *options)

    return run


@pytest.fixture()
def source(tmp_path) -> Path:
    """A parquet corpus with several columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from commands import ROWS

    path = tmp_path / "source.parquet"
    pq.write_table(pa.Table.from_pylist(ROWS), path)
    return path


@pytest.fixture()
def sweeping(tmp_path, tiny_model):
    """Begins a command over the small run, as a sweep."""
    from commands import Command, lines, small_run

    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text(lines({"id": f"d{i}", "text": corpus_text(i)} for i in range(40)))

    def begin(*more: str, store: str = "store", log: str = "log", **options):
        arguments = small_run(corpus, tiny_model, tmp_path / store, *more)
        return Command(arguments, tmp_path / log, **options)

    return begin


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """A real Slurm of one node, for all tests of this process."""
    import slurm

    if slurm.missing():
        pytest.skip(slurm.missing())
    running = slurm.Cluster(tmp_path_factory.mktemp("slurm"))
    yield running
    os.environ["SLURM_CONF"] = str(running.conf)
    running.stop()


@pytest.fixture()
def slurm(cluster, no_gpu, monkeypatch):
    """The same without jobs; the processes of jobs import this repository."""
    monkeypatch.setenv("SLURM_CONF", str(cluster.conf))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[1]))
    cluster.clear()
    yield cluster
    cluster.clear()


@pytest.fixture()
def no_gpu(monkeypatch):
    """For the processes that a test starts."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


@pytest.fixture()
def small_disk(tmp_path):
    """A real disk of a given size; call it again with another size to resize it."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def of(size: str) -> Path:
        options = f"remount,size={size}" if os.path.ismount(folder) else f"size={size}"
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)])
        if done.returncode:
            pytest.skip("only root can mount a small disk, and not in every container")
        return folder

    yield of
    if os.path.ismount(folder):
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
