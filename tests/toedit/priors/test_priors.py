"""The transformers prior against naive float32 computations on a tiny real model."""

import numpy as np
import pytest
import torch
from conftest import SENTENCES

from toedit import PRESETS, PriorConfig, edit_texts, load_prior
from toedit.errors import UserError
from toedit.priors.base import CandidateRange
from toedit.priors.hf import HFPrior, largest
from toedit.priors.loading import load_model, load_tokenizer, pinned_model
from toedit.priors.vocabulary import hf_vocabulary

EVERYWHERE = CandidateRange(5, above=1e-300)


def prior_of(folder, **options):
    return HFPrior(load_model(str(folder)), load_tokenizer(str(folder)), **options)


def naive(prior, text, prefix=()):
    """log P of every token and the whole distribution, with the logits of the full model."""
    ids = [*prefix, *prior.tokenizer(text, add_special_tokens=False).input_ids]
    with torch.no_grad():
        rows = torch.log_softmax(prior.model(torch.tensor([ids])).logits[0].float(), dim=-1)
    scores = [rows[i - 1, ids[i]].item() for i in range(1, len(ids))]
    return np.array(([] if prefix else [np.nan]) + scores, np.float32), rows


def test_scores_equal_a_naive_forward_pass(tiny_model):
    prior = prior_of(tiny_model)
    for text, scores in zip(SENTENCES, prior.score(SENTENCES, EVERYWHERE), strict=True):
        expected, rows = naive(prior, text)
        assert np.isnan(scores.logprobs[0])
        assert np.allclose(scores.logprobs, expected, atol=1e-5, equal_nan=True)
        top = rows[scores.rows.astype(np.int64) - 1].topk(5)
        assert np.allclose(scores.candidate_logprobs, top.values.numpy(), atol=1e-5)
        assert (np.diff(scores.candidate_logprobs, axis=1) <= 0).all()
        assert np.isclose(scores.perplexity, np.exp(-np.nanmean(expected)), rtol=1e-4)


def test_first_token_has_a_score_exactly_where_the_tokenizer_adds_bos(
    tiny_model, tiny_model_with_begin
):
    without, with_begin = prior_of(tiny_model), prior_of(tiny_model_with_begin)
    assert without.prefix == []
    assert with_begin.prefix == [1]
    scores = next(with_begin.score(SENTENCES[:1], EVERYWHERE))
    expected, _ = naive(with_begin, SENTENCES[0], prefix=[1])
    assert len(scores.tokens) == len(expected)
    assert np.allclose(scores.logprobs, expected, atol=1e-5)


def test_batches_change_nothing_but_rounding(tiny_model):
    texts = [s[: 10 + 7 * i] for i, s in enumerate(SENTENCES * 3)]
    alone = list(prior_of(tiny_model, batch_tokens=1).score(texts, EVERYWHERE))
    together = list(prior_of(tiny_model, batch_tokens=512).score(texts, EVERYWHERE))
    for a, b in zip(alone, together, strict=True):
        assert np.array_equal(a.tokens.ids, b.tokens.ids)
        assert np.allclose(a.logprobs, b.logprobs, atol=1e-5, equal_nan=True)


def test_padding_stays_under_five_percent(tiny_model):
    prior = prior_of(tiny_model, batch_tokens=600)
    sizes = []
    forward = prior._forward
    prior._forward = lambda documents, batch, candidates: (
        sizes.append([w.stop - w.start for _, w in batch]) or forward(documents, batch, candidates)
    )
    list(prior.score([SENTENCES[i % 4] * (1 + i % 3) for i in range(40)], EVERYWHERE))
    padded = sum(len(batch) * max(batch) for batch in sizes)
    assert padded <= 1.05 * sum(map(sum, sizes))
    assert max(map(len, sizes)) > 1


def test_long_documents_take_windows_in_which_nothing_is_lost(tiny_model):
    text = " ".join(SENTENCES * 2)
    whole = next(prior_of(tiny_model, max_length=500).score([text], EVERYWHERE))
    parts = next(prior_of(tiny_model, max_length=64, overlap=16).score([text], EVERYWHERE))
    assert np.array_equal(whole.tokens.ids, parts.tokens.ids)
    assert parts.scored.sum() == whole.scored.sum() == len(whole.tokens) - 1
    assert np.allclose(whole.logprobs[:64], parts.logprobs[:64], atol=1e-5, equal_nan=True)
    assert np.array_equal(parts.rows, np.arange(1, len(whole.tokens)))


def test_every_window_gives_its_first_token_a_context(tiny_model):
    """Without BOS an overlap of 0 would leave the first token of a window unpredicted."""
    text = " ".join(SENTENCES)
    prior = prior_of(tiny_model, max_length=40, overlap=0)
    scores = next(prior.score([text], EVERYWHERE))
    ids = scores.tokens.ids.astype(np.int64)
    assert scores.scored.sum() == len(ids) - 1
    for position in (40, 79):  # windows begin one token before
        with torch.no_grad():
            context = torch.from_numpy(ids[position - 1 : position + 1])[None]
            row = prior.model(context).logits[0, 0].log_softmax(-1)
        assert scores.logprobs[position] == pytest.approx(row[ids[position]].item(), abs=1e-4)


def test_numbers_that_are_not_numbers_fail_the_document_and_never_pass_for_scores(tiny_model):
    prior = prior_of(tiny_model)
    with torch.no_grad():
        prior.head.weight[5] = float("nan")
    results = edit_texts(SENTENCES[:2], prior, PRESETS["forced"])
    assert [r.stats.failed for r in results] == [["0"], ["1"]]
    assert [r.document.text for r in results] == SENTENCES[:2]
    with pytest.raises(UserError, match="not finite"):
        HFPrior(prior.model, prior.tokenizer)


@pytest.mark.parametrize(("columns", "k"), [(1, 1), (400, 5), (1025, 8), (5000, 3), (49152, 8)])
def test_the_largest_values_by_blocks_are_the_largest(columns, k):
    values = torch.rand(7, columns, generator=torch.Generator().manual_seed(columns))
    values[0] = 0  # all equal: any columns are right, but each only once
    top, places = largest(values, k)
    assert torch.equal(top, values.topk(k, dim=1).values)
    assert torch.equal(values.gather(1, places), top)
    assert all(len(set(row.tolist())) == k for row in places)


def test_more_candidates_than_tokens_are_refused(tiny_model):
    with pytest.raises(UserError, match="exceeds the prior's vocabulary of 400"):
        list(prior_of(tiny_model).score(SENTENCES, CandidateRange(401, above=0.5)))


def test_candidates_are_kept_only_where_asked(tiny_model):
    prior = prior_of(tiny_model)
    high = next(prior.score([SENTENCES[0]], CandidateRange(4, above=0.5)))
    low = next(prior.score([SENTENCES[0]], CandidateRange(4, below=0.5)))
    none = next(prior.score([SENTENCES[0]], CandidateRange()))
    assert (np.exp(high.logprobs[high.rows]) >= 0.5).all()
    assert (np.exp(low.logprobs[low.rows]) <= 0.5).all()
    assert len(high.rows) + len(low.rows) == high.scored.sum()
    assert len(none.rows) == 0


def test_too_little_memory_takes_smaller_batches_and_then_one_line(tiny_model, caplog):
    prior = prior_of(tiny_model, batch_tokens=600)
    texts = [SENTENCES[i % 4] for i in range(12)]
    expected = list(prior_of(tiny_model).score(texts, EVERYWHERE))
    body, sizes, room = prior._bodies[0], [], 2

    def little_memory(input_ids, use_cache):
        sizes.append(len(input_ids))
        if len(input_ids) > room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return body(input_ids=input_ids, use_cache=use_cache)

    prior._bodies = [little_memory]
    found = list(prior.score(texts, EVERYWHERE))
    for a, b in zip(found, expected, strict=True):
        assert np.allclose(a.logprobs, b.logprobs, atol=1e-5, equal_nan=True)
    assert max(sizes) > room
    assert "too little memory" in caplog.text
    sizes.clear()
    list(prior.score(texts, EVERYWHERE))
    assert room <= max(sizes) <= 2 * room  # later batches are smaller from the start, not tiny
    lengths = [len(prior.tokenize(text)) for text in texts]
    assert prior.batch_tokens >= max(lengths)
    room = 0
    with pytest.raises(UserError, match=r"too little memory for a window of \d+ tokens"):
        list(prior.score(texts[:1], EVERYWHERE))


@pytest.mark.slow()
def test_a_compiled_prior_scores_alike(tiny_model):
    config = PriorConfig(model=str(tiny_model), compile=True)
    compiled = list(load_prior(config).score(SENTENCES, EVERYWHERE))
    for a, b in zip(compiled, prior_of(tiny_model).score(SENTENCES, EVERYWHERE), strict=True):
        assert np.allclose(a.logprobs, b.logprobs, atol=1e-4, equal_nan=True)


def test_operations_are_two_a_weight_and_token(tiny_model):
    prior = prior_of(tiny_model)
    scores = next(prior.score([SENTENCES[0]], CandidateRange()))
    weights = sum(p.numel() for p in prior.model.parameters())
    if prior.model.get_input_embeddings().weight is not prior.head.weight:
        weights -= prior.model.get_input_embeddings().weight.numel()
    assert scores.flops == 2 * weights * len(scores.tokens)


def test_special_and_partial_tokens_are_neither_edited_nor_proposed(tiny_model):
    prior = prior_of(tiny_model)
    text = "naïve 👩‍👩‍👧 <|im_end|> café <|endoftext|>"
    tokens = prior.tokenize(text)
    special = set(prior.tokenizer.all_special_ids)
    assert special <= set(np.flatnonzero(~prior.vocabulary.proposable).tolist())
    assert not prior.vocabulary.proposable[len(prior.tokenizer) :].any()
    for i, token in enumerate(tokens.ids):
        if tokens.has_exact_span[i]:
            piece = prior.vocabulary.pieces[token]
            assert text[tokens.starts[i] : tokens.ends[i]] == piece
            assert token not in special
    assert not tokens.has_exact_span[[i for i, t in enumerate(tokens.ids) if t in special]].any()
    assert (~tokens.has_exact_span).sum() > len(
        special & set(tokens.ids.tolist())
    )  # parts of the emoji


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_edited_text_keeps_literal_markers_and_valid_unicode(tiny_model, name):
    prior = prior_of(tiny_model)
    texts = [*SENTENCES, "naïve 👩‍👩‍👧 <|im_end|> café", "", "x"]
    for text, result in zip(texts, edit_texts(texts, prior, PRESETS[name]), strict=True):
        edited = result.document.text
        assert "\ufffd" not in edited.encode("utf-8").decode("utf-8")
        assert edited.count("<|im_end|>") == text.count("<|im_end|>")
        assert edited.count("👩‍👩‍👧") == text.count("👩‍👩‍👧")
        if name == "none":
            assert edited.encode() == text.encode()


def test_a_tokenizer_larger_than_its_model_is_refused(tiny_model):
    with pytest.raises(UserError, match="use the tokenizer that belongs"):
        hf_vocabulary(load_tokenizer(str(tiny_model)), 100)


def test_a_model_that_changes_its_logits_is_refused(tiny_model):
    model = load_model(str(tiny_model))
    forward = model.forward

    def capped(*args, **kwargs):
        output = forward(*args, **kwargs)
        output.logits = torch.tanh(output.logits / 2) * 2
        return output

    model.forward = capped
    with pytest.raises(UserError, match="changes its logits"):
        HFPrior(model, load_tokenizer(str(tiny_model)))


def test_missing_models_end_in_one_line(tmp_path):
    for name in (str(tmp_path / "nowhere"), "no-such-organisation/no-such-model"):
        with pytest.raises(UserError) as error:
            load_model(name)
        assert "\n" not in str(error.value)


def test_a_hub_model_counts_by_its_commit(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    model = tmp_path / "models--some--model"
    for name, number in (("main", "1"), ("old", "2")):
        snapshot = model / "snapshots" / (number * 40)
        snapshot.mkdir(parents=True)
        (snapshot / "config.json").write_text("{}")
        (model / "refs").mkdir(exist_ok=True)
        (model / "refs" / name).write_text(number * 40)
    assert pinned_model("some/model") == f"some/model@{'1' * 40}"
    for name, revision in (("some/model", "old"), ("some/model@old", None)):
        assert pinned_model(name, revision) == f"some/model@{'2' * 40}"
    assert pinned_model("some/model", "2" * 40) == f"some/model@{'2' * 40}"
    with pytest.raises(UserError, match="without a network"):
        pinned_model("some/other")
