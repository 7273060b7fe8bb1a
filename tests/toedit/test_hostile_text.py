"""Text that breaks careless code, under every sampler and preset, on real tokens and on bytes."""

import json
import math

import numpy as np
import pytest
from conftest import SENTENCES, corpus_text
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from toedit import pipeline
from toedit.corpora.documents import write_documents
from toedit.corpora.sources import local_documents
from toedit.corpora.units import make_units, manifest_path, write_units
from toedit.document import Document
from toedit.edit import DELETED
from toedit.editor import edit_documents, edit_texts, score_documents
from toedit.priors import PriorConfig
from toedit.priors.base import CandidateRange
from toedit.priors.hf import HFPrior
from toedit.priors.loading import load_model, load_tokenizer
from toedit.priors.table import TablePrior
from toedit.rules import PRESETS, EditRule
from toedit.sampling import KeyedUniforms, make_sampler

RULES = {
    **PRESETS,
    # Low thresholds: the tiny model is sure of next to nothing.
    "top_k_low": EditRule(threshold=None, ceiling=0.2, k=5, source_token="included"),
    "top_p": EditRule(sampler="top_p", threshold=1e-6, top_p=0.9, temperature=1.5),
    "rejection": EditRule(sampler="rejection", threshold=1e-6, k=6, source_token="excluded"),
    "rejection_prior": EditRule(sampler="rejection", threshold=1e-6, proposal="prior", beta=0.5),
    "band": EditRule(threshold=1e-7, ceiling=0.9, source_token="excluded"),
    "deletion": EditRule(threshold=0.9, delete_below=1e-6),
}
EVERYWHERE = CandidateRange(64, above=1e-300)

HOSTILE = {
    "empty": "",
    "one character": "q",
    "space": " ",
    "newlines": "\r\n\n\r\x0b\x0c\x85\u2028\u2029",
    "emoji with joiners": "👩‍👩‍👧‍👦 quiz 🏳️‍🌈👍🏽",
    "right to left": "שלום, العالم \u202equiz\u202c q",
    "combining marks": "e\u0301a\u0308\u0323 Z͑ͫ̓a̴l͎g̈o",
    "NUL": "qu\x00iz\x00",
    "BOM": "\ufeffquick quiz\ufeff",
    "special tokens": "<|im_start|>user quiz<|im_end|><|endoftext|>",
    "replacement characters": "qu\ufffdiz \ufffd\ufffd",
    "astral": "𝔮𝔲𝔦𝔠𝔨 \U0010ffff",
    "ligatures": "ﬁne ﬀ Ǆ İ ß ſ",
}
LONG_LINE = "quick quantitative sequencing of quiet queries " * 2200
assert len(LONG_LINE) > 100_000

hostile_text = st.lists(
    st.one_of(
        st.sampled_from(sorted(HOSTILE.values())), st.sampled_from(SENTENCES), st.text(max_size=12)
    ),
    max_size=6,
).map("".join)


@pytest.fixture(scope="module")
def priors(tiny_model):
    model, tokenizer = load_model(str(tiny_model)), load_tokenizer(str(tiny_model))
    return {"tiny": HFPrior(model, tokenizer, max_length=128, overlap=16), "table": TablePrior()}


def check(text, prior, scores, rule, seed=0):
    """Everything that must hold of one edited document."""
    source = Document("d", text, {"kept": [1, None]})
    result = next(edit_documents([(source, scores)], rule, prior.vocabulary, seed))
    edited, edit, tokens = result.document, result.edit, scores.tokens
    assert (edited.id, edited.metadata) == (source.id, source.metadata)
    assert edited.text.encode("utf-8").decode("utf-8") == edited.text
    assert edited.text.count("\ufffd") <= text.count("\ufffd")
    changed = np.flatnonzero(edit.ids != tokens.ids)
    below = np.exp(scores.logprobs.astype(float)) < (rule.delete_below or 0)
    position = cursor = 0
    for i in changed:
        assert edit.eligible[i] or (edit.ids[i] == DELETED and below[i])
        assert tokens.has_exact_span[i]
        assert prior.vocabulary.pieces[tokens.ids[i]] is not None  # no special token is edited
        kept = text[position : tokens.starts[i]]
        assert edited.text[cursor : cursor + len(kept)] == kept
        cursor += len(kept)
        if edit.ids[i] != DELETED:
            assert prior.vocabulary.proposable[edit.ids[i]]
            piece = prior.vocabulary.pieces[edit.ids[i]]
            assert edited.text[cursor : cursor + len(piece)] == piece
            cursor += len(piece)
        position = tokens.ends[i]
    assert edited.text[cursor:] == text[position:]
    if rule.sampler == "none" and rule.delete_below is None:
        assert edited.text.encode() == text.encode()
    return len(changed)


@pytest.mark.parametrize("prior", ["tiny", "table"])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_under_every_rule(priors, prior, name):
    prior, text = priors[prior], HOSTILE[name]
    scores = next(prior.score([text], EVERYWHERE))
    for rule in RULES.values():
        check(text, prior, scores, rule)


@pytest.mark.parametrize("prior", ["tiny", "table"])
def test_a_line_of_100_kilobytes(priors, prior):
    prior = priors[prior]
    scores = next(prior.score([LONG_LINE], EVERYWHERE))
    assert scores.scored.sum() == len(scores.tokens) - 1
    changes = {name: check(LONG_LINE, prior, scores, rule) for name, rule in RULES.items()}
    assert changes["none"] == 0
    assert changes["rejection"] > 100


@pytest.mark.parametrize("prior", ["tiny", "table"])
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=hostile_text, seed=st.integers(0, 2**32 - 1))
def test_any_mixture_of_hostile_text(priors, prior, text, seed):
    scores = next(priors[prior].score([text], EVERYWHERE))
    for rule in RULES.values():
        check(text, priors[prior], scores, rule, seed)


def test_rules_do_change_hostile_text(priors):
    """Else every test above would hold of code that edits nothing."""
    text = "".join(HOSTILE.values()) + " ".join(SENTENCES)
    for prior in priors.values():
        scores = next(prior.score([text], EVERYWHERE))
        counts = {name: check(text, prior, scores, rule) for name, rule in RULES.items()}
        assert counts["none"] == 0
        assert all(counts[name] for name in ("top_k_low", "rejection", "band", "deletion")), counts


def test_a_lone_surrogate_cannot_be_text_and_is_kept_as_it_is(priors):
    results = edit_texts(["quiz \ud800 quiz", "quiz"], priors["tiny"], PRESETS["forced"])
    assert results[0].document.text == "quiz \ud800 quiz"
    assert [r.stats.failed for r in results] == [["0"], []]


@pytest.mark.parametrize("rule", ["none", "forced", "deletion"])
def test_a_hostile_corpus_keeps_every_document_id_and_column(tmp_path, rule):
    texts = [*HOSTILE.values(), LONG_LINE]
    ids = [f"{i} \u202e'\"\n" for i in range(len(texts))]
    source = [
        Document(i, t, {"n": t[:5], "deep": {"a": [t[:2]]}})
        for i, t in zip(ids, texts, strict=True)
    ]
    write_documents(tmp_path / "corpus.parquet", source)
    lines = [json.dumps({"id": d.id, "text": d.text, **d.metadata}) + "\n" for d in source]
    (tmp_path / "corpus.jsonl").write_text("".join(lines), newline="")
    table = PriorConfig(kind="table")
    for suffix in ("parquet", "jsonl"):
        output = tmp_path / suffix
        units = make_units([tmp_path / f"corpus.{suffix}"], 5)
        write_units(manifest_path(output), units)
        steps = [
            pipeline.ReadUnit(str(manifest_path(output))),
            pipeline.ScoreStep(table, EVERYWHERE),
            pipeline.EditStep(table, RULES[rule]),
            pipeline.WriteDocuments(str(output)),
        ]
        pipeline.run_steps(steps, units, output, "test")
        edited = list(local_documents([output / pipeline.SHARDS]))
        assert [(d.id, d.metadata) for d in edited] == [(d.id, d.metadata) for d in source]
        if rule == "none":
            assert edited == source
        else:
            assert edited != source


def test_a_change_of_batch_size_moves_no_edit_but_at_a_boundary(tiny_model):
    """Within 1e-5 of a threshold, a top-k tie or a sampling boundary an edit may differ."""
    texts = [corpus_text(i)[: 150 + 29 * i] for i in range(14)]
    model, tokenizer = load_model(str(tiny_model)), load_tokenizer(str(tiny_model))
    runs = []
    for batch_tokens in (1, 700):
        prior = HFPrior(model, tokenizer, batch_tokens=batch_tokens)
        documents = [Document(f"d{i}", text) for i, text in enumerate(texts)]
        runs.append(list(score_documents(documents, prior, EVERYWHERE)))
    compared = moved = 0
    for rule in (
        EditRule(threshold=1e-15, temperature=1.5),
        EditRule(sampler="top_p", threshold=1e-15),
    ):
        for (document, one), (_, many) in zip(*runs, strict=True):
            assert np.array_equal(one.tokens.ids, many.tokens.ids)
            both = edit_documents([(document, one), (document, many)], rule, prior.vocabulary)
            a, b = (edited.edit for edited in both)
            differ = a.ids != b.ids
            assert not (differ & ~at_a_boundary(one, rule, prior.vocabulary, document.id)).any()
            compared += int(a.eligible.sum())
            moved += int(differ.sum())
    assert compared > 500
    assert moved <= compared / 100


def at_a_boundary(scores, rule, vocabulary, document):
    """bool ``[n]``: where rounding by 1e-5 may decide whether and how a token is edited."""
    ends = [math.log(p) for p in (rule.threshold, rule.ceiling) if p is not None]
    near = np.min([np.abs(scores.logprobs - end) for end in ends], axis=0) < 1e-5
    source = scores.tokens.ids[scores.rows, None]
    ids, logprobs = scores.candidate_ids, scores.candidate_logprobs.astype(float)
    near[scores.rows] |= (-np.diff(logprobs[:, : rule.k + 1], axis=1) < 1e-5).any(axis=1)
    sampler = make_sampler(rule)
    allowed = sampler.support(logprobs) & (vocabulary.proposable[ids] | (ids == source))
    if rule.source_token == "excluded":
        allowed &= ids != source
    rows = allowed.any(axis=1)
    logits = np.where(allowed, logprobs, -np.inf)[rows]
    cumulative = sampler.distribution(logits).cumsum(axis=1)
    uniform = KeyedUniforms([document])(scores.rows[rows], 1)
    near[scores.rows[rows]] |= (np.abs(cumulative - uniform) < 1e-5).any(axis=1)
    return near
