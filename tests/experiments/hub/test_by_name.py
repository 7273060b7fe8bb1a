"""Every experiment of the paper's scale runs from its own configuration, with all that it names
downloaded from a hub by the real clients; sizes alone are smaller."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hub_content import MEMBER, fill
from web import Web

from experiments.config.compose import compose
from experiments.config.headers import names
from experiments.hub.names import names_of

ROOT = Path(__file__).resolve().parents[3]
FINANCE = ["paper/cpt_finance", "paper/cpt_finance_llama3"]
GROUPS = [
    ["paper/cpt_bio", "paper/cpt_bio_llama3", *FINANCE],
    ["paper/cpt_math", "paper/sft_evol_instruct", "paper/sft_oss_instruct"],
    ["paper/sft_cot", "paper/sft_flan_v2", "paper/sft_oasst1", "paper/sft_natural_instructions",
     "paper/sft_generations"],
    ["paper/pretrain_gpt2", "paper/pretrain_olmo237m", "paper/selection_olmo237m"],
    ["paper/pretrain_toedit", "paper/statistics"],
]  # fmt: skip
"""Experiments that share a process and results."""


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> Path:
    """Financial text of the user, which the paper does not publish."""
    path = tmp_path_factory.mktemp("text") / "finance.jsonl"
    words = [f"The share of company {i} rose by {i} cents.\n\n" + " *" * 12 for i in range(200)]
    path.write_text(
        "".join(json.dumps({"id": str(i), "text": t}) + "\n" for i, t in enumerate(words))
    )
    return path


def words_of(name: str, text: Path) -> list[str]:
    """The command of an experiment."""
    return [f"+exp={name}", *([f"corpus.paths=[{text}]"] if name in FINANCE else [])]


@pytest.fixture(scope="module")
def web(tmp_path_factory, text):
    """A hub with everything that the experiments name, and the hosts that it leads to."""
    if shutil.which("openssl") is None:
        pytest.skip("the certificate of other hosts needs openssl")
    folder = tmp_path_factory.mktemp("web")
    wanted = [n for group in GROUPS for e in group for n in names_of(compose(words_of(e, text)))]
    with Web(folder) as server:
        server.files = fill(server, list(dict.fromkeys(wanted)), folder)
        server.certify()
        yield server


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """The cache of the clients."""
    return tmp_path_factory.mktemp("home")


def test_every_experiment_at_the_papers_scale_is_in_a_group():
    grouped = [name for group in GROUPS for name in group]
    assert sorted(grouped) == sorted(name for name in names() if name.startswith("paper/"))


def client(web: Web, home: Path, folder: Path, *words: str) -> subprocess.CompletedProcess:
    """Run Python in a process that reads from the hub, as a member."""
    environment = {**os.environ, **web.environment(home, MEMBER), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *words], env=environment, cwd=folder, capture_output=True, text=True
    )


REUSED = """
import evals.harness as harness
from evals.suites import suite
from toedit.priors.loading import load_model, load_tokenizer

name = "meta-llama/Meta-Llama-3-8B"
model, tokenizer = load_model(name), load_tokenizer(name)
for task in suite("code_hub")[1:3]:
    rows = [harness.evaluate_task(model, tokenizer, task, allow_cut=True) for _ in range(2)]
    harness._load_stock.cache_clear()
    anew = harness.evaluate_task(model, tokenizer, task, allow_cut=True)
    assert len(anew) == 6 and rows == [anew, anew], task.name
"""


@pytest.mark.slow
def test_a_benchmark_that_is_loaded_once_gives_the_same_rows_again(web, home, tmp_path):
    done = client(web, home, tmp_path, "-c", REUSED)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group[0])
def test_experiments_run_by_name(group, web, home, text, tmp_path, capsys):
    begun = len(web.requests)
    words = [word for name in group for word in words_of(name, text)]
    script = ROOT / "tests" / "assets" / "by_name.py"
    done = client(web, home, tmp_path, str(script), str(tmp_path / "store"), *words)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-5000:]}"
    requests = [path for _, path, _ in web.requests[begun:]]
    asked = set(requests)
    for name in {name for e in group for name in names_of(compose(words_of(e, text)))}:
        place = f"/{name.name}/resolve/" if name.kind != "url" else name.name
        assert any(place in path for path in asked), f"{name.name} was not read"
    assert sum("/cais/mmlu/resolve/main/README.md" in path for path in requests) < 4 * 57
    for path in (tmp_path / "store").rglob("*"):
        assert not path.is_file() or MEMBER.encode() not in path.read_bytes(), path
    finished = [line for line in done.stdout.splitlines() if line.startswith("done ")]
    assert len(finished) == len(group)
    with capsys.disabled():
        print("", *finished, sep="\n")
