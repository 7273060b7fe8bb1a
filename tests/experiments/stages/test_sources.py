"""Text from files anywhere: found, read once, mixed, selected from, and held out by domain."""

import functools
import gzip
import json
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import Command, run
from conftest import corpus_text

from experiments.config.compose import compose
from experiments.config.corpora import TextSource
from experiments.plans import plan
from experiments.stage import identity
from toedit.corpora.remote import addresses, fetched, short_names
from toedit.errors import UserError


@pytest.fixture(scope="module")
def texts(tmp_path_factory) -> Path:
    """Stand-ins of the forms that the paper's texts have."""
    root = tmp_path_factory.mktemp("texts")

    def write_lines(path: Path, rows: list[dict], opened=gzip.open) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with opened(path, "wb") as handle:
            handle.write("".join(json.dumps(row) + "\n" for row in rows).encode())

    for part in range(2):  # as Dolma: records whose other columns differ in type
        rows = [{"id": f"d{part}-{i}", "text": corpus_text(100 * part + i), "source": "cc",
                 "metadata": {"length": i} if i % 2 else None} for i in range(60)]  # fmt: skip
        write_lines(root / "dolma" / f"sample-{part:04d}.json.gz", rows)
    listed = [str(path) for path in sorted((root / "dolma").glob("*.gz"))]
    (root / "dolma.txt").write_text("\n".join(listed) + "\n")
    for part in ("stories", "wikihow"):  # as Cosmopedia: no ids, file names that repeat
        written = [corpus_text(1000 + (part == "wikihow") * 100 + i) for i in range(60)]
        (root / "cosmopedia" / part).mkdir(parents=True)
        table = pa.table({"prompt": [""] * 60, "text": written})
        pq.write_table(table, root / "cosmopedia" / part / "train-00000-of-00001.parquet")
    for name in ("wikitext_103", "c4_en"):  # as Paloma
        rows = [{"id": str(i), "text": corpus_text(2000 + i), "subdomain": "x"} for i in range(6)]
        write_lines(root / "paloma" / name / "val" / "val.jsonl.gz", rows)
    rows = [{"text": corpus_text(3000 + i), "meta": {"pile_set_name": ["ArXiv", "Enron"][i % 2]}}
            for i in range(12)]  # fmt: skip
    write_lines(root / "pile" / "val.jsonl.zst", rows, functools.partial(compressed, "zstd"))
    return root


def compressed(codec: str, path: Path, mode: str) -> pa.NativeFile:
    return pa.CompressedOutputStream(pa.OSFile(str(path), mode), codec)


def arguments(exp: str, texts: Path, model: Path, store: Path) -> list[str]:
    held = [f'{{name: {name}, group: Paloma, files: ["{texts}/paloma/{folder}/val/*.gz"]}}'
            for name, folder in (("Wikitext-103", "wikitext_103"), ("c4-en", "c4_en"))]  # fmt: skip
    held.append(f'{{name: Pile, files: ["{texts}/pile/val.jsonl.zst"], '
                "domain_column: meta.pile_set_name}")  # fmt: skip
    return [
        f"+exp=paper/{exp}", f"store={store}", "seed=0", "tracker=none", "engine.workers=1",
        f'mixture.sources=[{{name: dolma, files: ["@{texts}/dolma.txt"]}}, {{name: cosmopedia, '
        f'kind: synthetic, files: ["{texts}/cosmopedia/*/*.parquet"]}}]',
        f"mixture.heldout=[{', '.join(held)}]", "mixture.ratios=[0,0.5]",
        "mixture.heldout_characters=1200", f"mixture.tokenizer={model}",
        "mixture.tokenizer_revision=null",
        "train.tokens=4096", "train.block_size=64", "train.batch_tokens=512",
        "train.micro_batch=4", "launch=single", "train.fsdp=false", "train.precision=float32",
        "train.warmup_steps=1", "train.compile=false", "eval.suite=null", "eval.window=64",
        "eval.first_tokens=32", "model.scratch.layers=1", "model.scratch.width=32",
        "model.scratch.heads=2", "model.scratch.context=64",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def store(texts, tiny_model, tmp_path_factory) -> Path:
    """The ratios of GPT-2 on the stand-ins, four epochs of half of the tokens."""
    folder = tmp_path_factory.mktemp("sources")
    run(
        [*arguments("pretrain_gpt2", texts, tiny_model, folder / "store"), "mixture.tokens=2048",
         "train.keep_tokens=[2048]"],
        folder / "log",
    )  # fmt: skip
    return folder / "store"


def folder_of(store: Path, kind: str, name: str) -> Path:
    (path,) = store.glob(f"{kind}/{name}-*")
    return path


def rows_of(folder: Path) -> list[dict]:
    return [
        row for path in sorted(folder.glob("*.parquet")) for row in pq.read_table(path).to_pylist()
    ]


def test_every_document_of_every_file_is_read_and_keeps_an_id_of_its_own(store):
    for name, kind in (("dolma", "human"), ("cosmopedia", "synthetic")):
        rows = rows_of(folder_of(store, "corpus", name) / "train")
        assert len({row["id"] for row in rows}) == len(rows) == 120
        known = {"domain": name, "kind": kind}
        assert all(json.loads(row["metadata"]) == known for row in rows)
    assert "cosmopedia/stories/train-00000-of-00001.parquet:0" in {row["id"] for row in rows}
    assert not [path for path in store.rglob("copies") if any(path.iterdir())]


def test_mixtures_hold_what_the_manifest_says(store, tiny_model):
    from toedit.priors.loading import load_tokenizer

    tokenizer = load_tokenizer(str(tiny_model))
    folder = folder_of(store, "mixture", "synthetic50-seed0")
    blocks = np.load(folder / "mixture.npy")
    assert (blocks.shape, blocks.dtype) == ((32, 64), np.uint16)
    manifest = pq.read_table(folder / "manifest.parquet").to_pylist()
    assert sum(row["tokens"] for row in manifest if row["source"] == "synthetic") == 1024
    texts = {row["id"]: row["text"] for name in ("dolma", "cosmopedia")
             for row in rows_of(folder_of(store, "corpus", name) / "train")}  # fmt: skip
    place, stream = 0, blocks.ravel().tolist()
    for row in manifest:
        ids = [*tokenizer(texts[row["id"]])["input_ids"], tokenizer.eos_token_id]
        found = stream[place : place + row["tokens"]]
        assert row["cut"] == (row["tokens"] < len(ids))
        assert found == [*ids[: row["tokens"] - 1], tokenizer.eos_token_id]
        place += row["tokens"]
    assert place == blocks.size


def test_held_out_text_is_averaged_by_group_also_on_the_way(store):
    (path,) = store.glob("reports/*/results.json")
    found = json.loads(path.read_text())
    domains = {
        (row["group"], row["metric"].partition(" (")[0])
        for row in found["rows"]
        if row["metric"].endswith("), perplexity")
    }
    assert domains == {("Paloma", "Wikitext-103"), ("Paloma", "c4-en"),
                       ("Pile", "ArXiv"), ("Pile", "Enron")}  # fmt: skip
    for evaluated in store.glob("evaluate/*/predictions/heldout.parquet"):
        rows = pq.read_table(evaluated).to_pylist()
        assert max(row["tokens"] for row in rows) <= 31  # the first 32 tokens
    (early,) = found["checkpoints"]
    assert early["tokens"] == 2048
    for before, after in zip(early["rows"], found["rows"], strict=True):
        for arm, own in before["arms"].items():
            assert own["value"] != after["arms"][arm]["value"]
    page = next(path.parent.glob("*.md")).read_text()
    assert "## After 2.05e+03 tokens" in page
    held = json.loads((folder_of(store, "corpus", "heldout") / "record.json").read_text())
    for sizes in held["metrics"]["heldout"].values():  # stops with the document that passes it
        assert 1200 <= sizes["characters"] < 1200 + 600


@pytest.mark.slow
def test_selections_of_a_source_of_its_own(store, texts, tiny_model, tmp_path):
    before = set(store.glob("*/*/record.json"))
    run(
        [*arguments("selection_olmo237m", texts, tiny_model, store), "selection.documents=20",
         "selection.methods=[dsir,perplexity,density]", "selection.min_words=10",
         "selection.repetitions=8", "mixture.tokens=2048", "model.scratch.vocabulary=400",
         "model.scratch.intermediate=64"],
        tmp_path / "log",
    )  # fmt: skip
    made = set(store.glob("*/*/record.json")) - before
    assert not any(path.parent.parent.name == "corpus" for path in made)  # texts are shared
    for method in ("dsir", "perplexity", "density"):
        folder = folder_of(store, "select", f"{method}-seed0")
        rows = pq.read_table(folder / "selection.parquet").to_pylist()
        assert (len(rows), sum(row["chosen"] for row in rows)) == (120, 20)
        assert len(rows_of(folder / "train")) == 20
    many = arguments("selection_olmo237m", texts, tiny_model, store)
    many += [
        "selection.documents=121",
        "selection.methods=[density]",
        "selection.repetitions=8",
        "model.scratch.vocabulary=400",
        "mixture.tokens=2048",
        "model.scratch.intermediate=64",
    ]
    command = Command(many, tmp_path / "log2")
    assert command.wait() == 2
    assert "selection.documents=121 by density, but there are 120" in command.output


def test_files_are_found_by_pattern_list_and_address(texts):
    listed = addresses([f"@{texts}/dolma.txt", f"{texts}/cosmopedia/*/*.parquet"])
    assert [Path(name).parent.name for name in listed] == ["dolma", "dolma", "stories", "wikihow"]
    assert short_names(listed[2:]) == [f"{part}/train-00000-of-00001.parquet"
                                       for part in ("stories", "wikihow")]  # fmt: skip
    assert short_names(listed[:1]) == ["sample-0000.json.gz"]
    with pytest.raises(UserError, match="no file is found under"):
        addresses([f"{texts}/nothing/*.gz"])
    with pytest.raises(UserError, match="does not exist"):
        addresses([f"@{texts}/nothing.txt"])


def test_files_come_from_a_server_and_leave_nothing_behind(texts, tmp_path):
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(texts))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        place = f"http://127.0.0.1:{server.server_port}"
        with fetched(f"{place}/dolma/sample-0000.json.gz", tmp_path / "copies") as path:
            assert path.read_bytes() == (texts / "dolma" / "sample-0000.json.gz").read_bytes()
        assert not any((tmp_path / "copies").iterdir())
        with (
            pytest.raises(UserError, match=r"cannot read 'http://.*gone\.gz'"),
            fetched(f"{place}/gone.gz", tmp_path / "copies"),
        ):
            pass
        server.shutdown()


def test_local_files_count_by_content_and_others_by_address(texts, tmp_path):
    source = TextSource("dolma", files=[f"{texts}/dolma/*.gz"])
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    for path in (texts / "dolma").glob("*.gz"):
        (copy / path.name).write_bytes(path.read_bytes())
    assert identity(TextSource("dolma", files=[f"{copy}/*.gz"])) == identity(source)
    (copy / "sample-0000.json.gz").write_bytes(b"")
    assert identity(TextSource("dolma", files=[f"{copy}/*.gz"])) != identity(source)
    (tmp_path / "list.txt").write_text(f"{copy}/sample-0001.json.gz\n")
    listed = TextSource("dolma", files=[f"@{tmp_path}/list.txt"])
    before = identity(listed)
    (copy / "sample-0001.json.gz").write_bytes(b"x")
    assert identity(listed) != before
    hub = TextSource("dolma", files=["@hf://datasets/a/b@1/list.txt"])
    assert identity(hub)["files"] == hub.files


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("mixture.heldout=[]", "mixture.sources needs mixture.heldout"),
        ("mixture.tokens=100", "mixture.tokens=100 must be a multiple of train.batch_tokens"),
        ("mixture.sources=[{name: synthetic, files: [x]}]", "cannot be named 'synthetic'"),
        ("mixture.tokenizer=null", "mixture.sources needs mixture.heldout and mixture.tokenizer"),
        ("mixture.domains=[pile]", r"must name the human sources: dolma"),
        ("mixture.sources=[{name: dolma, files: [x]}]", "above 0 need a source of kind synthetic"),
        ("mixture.sources=[{name: dolma, files: []}]", "a source needs a name and files"),
        ("mixture.sources=[{name: dolma, kind: machine, files: [x]}]", "kind of a source"),
        ("mixture.sources=[{name: a, files: [x]}, {name: a, files: [y]}]", "each source once"),
    ],
)  # fmt: skip
def test_sources_that_make_no_sense_are_refused(change, message):
    with pytest.raises(UserError, match=message):
        plan(compose(["+exp=paper/pretrain_gpt2", change]))


def test_a_column_that_names_no_domain_is_named(texts, tiny_model, tmp_path):
    own = arguments("pretrain_gpt2", texts, tiny_model, tmp_path / "store")
    own.append(f'mixture.heldout=[{{name: Pile, files: ["{texts}/pile/val.jsonl.zst"], '
               "domain_column: meta.name}]")  # fmt: skip
    own.append("train.keep_tokens=[]")
    command = Command(own, tmp_path / "log")
    assert command.wait() == 2
    assert "names no domain in column 'meta.name'; its columns: meta" in command.output
