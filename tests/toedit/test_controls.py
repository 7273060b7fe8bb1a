"""Random edits against their definition, on a prior whose every probability is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toedit.controls import eligible_spans, everywhere, smoothing_amount
from toedit.document import Document, inside
from toedit.edit import DELETED, applies
from toedit.editor import candidates_for, edit_documents, score_documents
from toedit.errors import UserError
from toedit.pipeline import EditStep
from toedit.priors import PriorConfig
from toedit.priors.base import CandidateRange
from toedit.priors.hf import HFPrior
from toedit.priors.loading import load_model, load_tokenizer
from toedit.priors.table import TablePrior
from toedit.rules import PRESETS, EditRule
from toedit.sampling import softmax

PRIOR = TablePrior()
TEXT = "the quick brown fox jumps over seven lazy wizards in a jovial quiz of liquid vaccines. "
RULES = {
    **PRESETS,
    "top_p": EditRule(sampler="top_p", threshold=0.5, top_p=0.9, temperature=2.0),
    "rejection": EditRule(
        sampler="rejection", threshold=0.5, source_token="excluded", max_rounds=200
    ),
    "low": EditRule(threshold=None, ceiling=0.1, source_token="included"),
    "band": EditRule(threshold=0.2, ceiling=0.6, strict=True),
    "deletion": EditRule(threshold=0.3, source_token="excluded", delete_below=0.01),
    "deletion_alone": EditRule(sampler="none", delete_below=0.01),
}


def arms(documents, rule, seed=0, prior=PRIOR, **options):
    """The documents as the rule edits them, and as its control does."""
    need = candidates_for(rule, "random")
    scored = list(score_documents(documents, prior, need))
    return [
        list(edit_documents(scored, rule, prior.vocabulary, seed, control=control, **options))
        for control in (None, "random")
    ]


def changed(result) -> np.ndarray:
    """Positions of the tokens that are no longer there."""
    return np.flatnonzero(result.edit.ids != result.scores.tokens.ids)


PARTS = st.lists(
    st.one_of(st.sampled_from([TEXT, "qu", "vaccine quiz ", "\ufffd", "e\u0301", "שלום"]),
              st.text(max_size=9)),
    max_size=5,
)  # fmt: skip


@settings(max_examples=80)
@given(st.lists(PARTS, min_size=1, max_size=4), st.sampled_from(sorted(RULES)), st.integers(0, 99))
def test_as_many_edits_a_document_and_only_of_editable_tokens(parts, name, seed):
    """Every second part of a text is a prompt in every second document."""
    rule, documents = RULES[name], []
    for number, pieces in enumerate(parts):
        ends = np.cumsum([len(piece) for piece in pieces]).tolist()
        spans = tuple(zip(ends[0::2], ends[1::2], strict=False)) if number % 2 else None
        documents.append(Document(f"d{number}", "".join(pieces), {"kept": number}, spans))
    for source, ours, theirs in zip(documents, *arms(documents, rule, seed), strict=True):
        counts = (theirs.stats.changed, theirs.stats.deleted)
        assert counts == (ours.stats.changed, ours.stats.deleted)
        assert theirs.stats.eligible == theirs.stats.changed  # what is drawn does change
        assert len(changed(theirs)) == sum(counts)
        tokens, mask = theirs.scores.tokens, inside(theirs.scores.tokens, source.editable)
        open_ = tokens.has_exact_span & theirs.scores.scored & (True if mask is None else mask)
        assert open_[changed(theirs)].all()
        new = theirs.edit.ids[theirs.edit.eligible]
        assert PRIOR.vocabulary.proposable[new].all()
        assert (theirs.document.id, theirs.document.metadata) == (source.id, source.metadata)
        edited, at = theirs.document.text, 0
        for i, token in enumerate(theirs.edit.ids.tolist()):  # one ASCII character for another
            if tokens.has_exact_span[i]:
                assert token == DELETED or edited[at] == chr(token)
                at += token != DELETED
            elif i + 1 == len(tokens) or tokens.starts[i + 1] != tokens.starts[i]:
                assert edited[at] == source.text[tokens.starts[i]]
                at += 1
        assert at == len(edited)


def test_prompts_stay_and_responses_are_found_again():
    prompt, answer = "quick question: ", "quiet queries in quantity "
    text = (prompt + answer) * 3
    step = len(prompt + answer)
    spans = tuple((start + len(prompt), start + step) for start in range(0, len(text), step))
    documents = [Document(str(i), text, {}, spans) for i in range(50)]
    edited, control = arms(documents, RULES["deletion"])
    moved = 0
    for ours, theirs in zip(edited, control, strict=True):
        place = 0
        for start, end in theirs.document.editable:
            assert theirs.document.text[place:start] == prompt
            assert theirs.document.text[start:end] != answer
            place = end
        assert place == len(theirs.document.text)
        moved += changed(ours).tolist() != changed(theirs).tolist()
    assert moved > 45


def test_positions_are_uniform_over_the_editable_ones():
    spans = ((20, 60), (70, len(TEXT)))
    documents = [Document(f"d{i}", TEXT, {}, spans) for i in range(4000)]
    edited, results = arms(documents, PRESETS["forced"])
    times = np.sum([r.edit.eligible for r in results], axis=0)
    places = np.r_[20:60, 70 : len(TEXT)]
    assert 0 < edited[0].stats.changed < 9
    assert times.sum() == times[places].sum() == edited[0].stats.changed * len(documents)
    expected = times.sum() / len(places)
    statistic = ((times[places] - expected) ** 2 / expected).sum()
    assert 25 < statistic < 112  # nearly chi-square with 56 degrees of freedom: 0.01 %, 99.999 %


def test_deletions_are_uniform_over_what_is_left():
    documents = [Document(f"d{i}", "xquizzy vaccine", {}) for i in range(3000)]
    edited, control = arms(documents, RULES["deletion"])
    assert edited[0].stats.deleted > 1
    times = np.sum([r.edit.ids == DELETED for r in control], axis=0)
    assert times[0] == 0  # never scored
    expected = times.sum() / (len(times) - 1)
    assert ((times[1:] - expected) ** 2 / expected).sum() < 49  # 13 degrees of freedom


@pytest.mark.parametrize(
    "rule",
    [
        EditRule(threshold=0.05, temperature=1.5, source_token="included"),
        EditRule(threshold=0.05, sampler="top_p", top_p=0.9, temperature=2.0),
        EditRule(threshold=0.05, sampler="rejection", k=4, max_rounds=200),
    ],
    ids=lambda rule: rule.sampler,
)
def test_a_drawn_token_follows_the_sampler_without_the_source_token(rule):
    text = "the oven "
    results = arms([Document(f"d{i}", text) for i in range(3000)], rule)[1]
    checked = 0
    for position in range(1, len(text)):
        row = PRIOR.table[ord(text[position - 1])].astype(float)
        order = np.argsort(-row, kind="stable")[: rule.k]
        if rule.sampler == "top_p":
            order = np.argsort(-row, kind="stable")
            order = order[: np.searchsorted(np.exp(row[order]).cumsum(), rule.top_p) + 1]
        order = order[order != ord(text[position])]
        drawn = np.array([r.edit.ids[position] for r in results if r.edit.eligible[position]])
        assert set(drawn) <= set(order)
        if len(drawn):
            expected = softmax(row[order][None] / rule.temperature)[0] * len(drawn)
            counts = (drawn[:, None] == order).sum(axis=0)
            assert ((counts - expected) ** 2 / expected.clip(1)).sum() < 40
            checked += len(drawn) > 300
    assert checked >= 5


def test_where_no_other_token_is_possible_none_is_drawn():
    """With one candidate only a token that is not the most probable one can change."""
    rule = EditRule(threshold=None, ceiling=0.05, k=1)
    documents = [Document(f"d{i}", TEXT) for i in range(100)]
    edited, control = arms(documents, rule)
    best = PRIOR.table[:, :].argmax(axis=1)[np.frombuffer(TEXT.encode(), np.uint8)[:-1]]
    places = set()
    for result in control:
        at = changed(result)
        places |= set(at.tolist())
        assert (result.edit.ids[at] == best[at - 1]).all()
    assert edited[0].stats.changed > 3
    sources = np.frombuffer(TEXT.encode(), np.uint8)[1:]
    assert places == set((np.flatnonzero(sources != best) + 1).tolist())


@pytest.mark.parametrize("name", ["forced", "top_p", "rejection", "deletion"])
def test_a_document_gets_the_same_edits_whatever_stands_beside_it(name):
    documents = [Document(f"d{i}", TEXT[i:] * (i % 3), {}, ((0, 50),) if i % 4 else None)
                 for i in range(12)]  # fmt: skip
    together = {r.document.id: r for r in arms(documents, RULES[name], 7)[1]}
    turned = {r.document.id: r for r in arms(documents[::-1], RULES[name], 7)[1]}
    for document in documents:
        (alone,) = arms([document], RULES[name], 7)[1]
        for other in (together[document.id], turned[document.id]):
            assert alone.document == other.document
            assert alone.stats == other.stats
            for field in ("ids", "eligible", "stay", "rounds"):
                assert np.array_equal(getattr(alone.edit, field), getattr(other.edit, field))


def test_randomness_has_keys_of_its_own():
    documents = [Document(f"d{i}", "quququ") for i in range(200)]
    rule = PRESETS["forced"]
    first, other = (arms(documents, rule, **o)[1] for o in ({}, {"generation": 1}))
    assert [changed(r).tolist() for r in first] != [changed(r).tolist() for r in other]
    edited, control = arms(documents, EditRule(threshold=None, ceiling=1.0,
                                               source_token="excluded"))  # fmt: skip
    pairs = [(a.edit.ids[1:], b.edit.ids[1:]) for a, b in zip(edited, control, strict=True)]
    same = np.mean([a == b for a, b in pairs])
    assert 0 < same < 0.5  # both change every token, and not to the same ones


@pytest.mark.parametrize("sampler", ["top_k", "top_p"])
def test_special_tokens_and_parts_of_characters_stay(tiny_model, sampler):
    prior = HFPrior(load_model(str(tiny_model)), load_tokenizer(str(tiny_model)))
    text = "<|im_end|> quick 👩‍👩‍👧 quiz <|im_start|>quality of life " * 3
    rule = EditRule(threshold=None, ceiling=1e-10, sampler=sampler)
    edited, control = arms([Document(f"d{i}", text) for i in range(20)], rule, prior=prior)
    total = 0
    for ours, theirs in zip(edited, control, strict=True):
        assert theirs.stats.changed == ours.stats.changed
        total += theirs.stats.changed
        tokens = theirs.scores.tokens
        special = [prior.vocabulary.pieces[i] is None for i in tokens.ids]
        assert not np.array(special)[changed(theirs)].any()
        assert theirs.document.text.count("<|im_end|>") >= 3
        assert "\ufffd" not in theirs.document.text
    assert total > 20


def test_it_matches_editing_that_sees_its_own_edits():
    rule = EditRule(threshold=0.3, temperature=2.0, source_token="excluded")
    documents = [Document("a", TEXT), Document("b", "quiz")]
    edited, control = arms(documents, rule, autoregressive=PRIOR)
    for ours, theirs in zip(edited, control, strict=True):
        assert ours.stats.changed == theirs.stats.changed > 0


def test_too_few_tokens_that_can_change_are_told(caplog):
    """Rejection sampling that accepts nothing leaves a token that cannot be drawn."""
    rule = EditRule(threshold=0.05, sampler="rejection", temperature=0.5, max_rounds=1)
    documents = [Document(f"d{i}", "e ") for i in range(400)]
    edited, control = arms(documents, rule)
    pairs = [(a.stats.changed, b.stats.changed) for a, b in zip(edited, control, strict=True)]
    short = [d.id for d, (ours, theirs) in zip(documents, pairs, strict=True) if theirs < ours]
    assert short
    assert all(theirs <= ours for ours, theirs in pairs)
    assert f"{len(short)} random edits find no token to change" in caplog.text
    assert str(short[:20]) in caplog.text


def test_statistics_count_as_for_any_edit():
    edited, control = arms([Document("d", TEXT * 3)], PRESETS["forced"])
    (ours,), (theirs,) = edited, control
    summary = theirs.stats.summary()
    assert summary["eligible"] == summary["changed"] == ours.stats.changed > 0
    assert summary["smoothing"] == pytest.approx(1.0)
    assert summary["kl"] is None  # every drawn token changes
    assert sum(summary["changed_histogram"]) == summary["changed"]
    assert (
        sum(c.probability < 0.9 for c in theirs.changes)
        > 0
        == sum(c.probability < 0.9 for c in ours.changes)
    )


def test_the_control_of_a_rule_needs_candidates_at_every_token():
    logprobs = np.array([0.0, -0.1, -200.0, -np.inf, np.nan], np.float32)
    for rule in RULES.values():
        assert applies(everywhere(rule), logprobs).tolist() == [True] * 4 + [False]
    need = candidates_for(PRESETS["released_code"], "random")
    lower, upper = need.log_bounds()
    assert ((logprobs >= lower) | (logprobs <= upper)).tolist() == [True] * 4 + [False]
    assert CandidateRange(8, 0.9, 1.0).covers(need)
    assert not CandidateRange(8, 0.9, 0.1).covers(need)
    half = CandidateRange(8, above=0.5)  # what a smaller threshold needs
    assert CandidateRange(8, 0.9, 1.0).covers(half) and CandidateRange(8, 0.4, 0.2).covers(half)
    assert not CandidateRange(8, 0.9, 0.8).covers(half)  # nothing between .8 and .9
    assert not CandidateRange(4, 0.9, 1.0).covers(half)
    assert candidates_for(RULES["top_p"], "random").k == 64
    scored = score_documents([Document("d", TEXT)], PRIOR, candidates_for(PRESETS["forced"]))
    with pytest.raises(UserError, match="no candidates for some tokens"):
        list(edit_documents(scored, PRESETS["forced"], PRIOR.vocabulary, control="random"))


def test_an_unknown_control_is_one_line():
    line = r"control='rnadom' is unknown; did you mean 'random'\? allowed: random"
    with pytest.raises(UserError, match=line):
        candidates_for(EditRule(), "rnadom")
    with pytest.raises(UserError, match=line):
        EditStep(PriorConfig(kind="table"), EditRule(), control="rnadom")
    with pytest.raises(UserError, match=line):
        scored = score_documents([Document("d", TEXT)], PRIOR, CandidateRange(8, below=1.0))
        list(edit_documents(scored, EditRule(), PRIOR.vocabulary, control="rnadom"))


@pytest.mark.parametrize("name", sorted(set(RULES) - {"none"}))
def test_smoothed_labels_are_those_of_eligible_tokens(name):
    rule = RULES[name]
    text = "שלום quiz of vaccines, xyzzy " + TEXT
    document = Document("d", text, {}, ((0, 40), (50, len(text))))
    scores = next(PRIOR.score([text], CandidateRange()))  # without candidates
    spans = eligible_spans(document, scores, rule, PRIOR.vocabulary)
    full = next(PRIOR.score([text], CandidateRange(64, below=1.0)))
    result = next(edit_documents([(document, full)], rule, PRIOR.vocabulary))
    tokens, eligible = full.tokens, np.flatnonzero(result.edit.eligible)
    assert spans == [(tokens.starts[i], tokens.ends[i]) for i in eligible]
    assert len(spans) == result.stats.eligible > 0
    whole = Document("d", text)
    assert set(spans) < set(eligible_spans(whole, scores, rule, PRIOR.vocabulary))
    amount = smoothing_amount(result.stats.summary())
    assert amount == pytest.approx(np.mean(1 - result.edit.stay[eligible]), abs=1e-6)


def test_spans_are_the_text_of_tokens_by_hand():
    scores = next(PRIOR.score([TEXT], CandidateRange()))
    spans = eligible_spans(Document("d", TEXT), scores, PRESETS["forced"], PRIOR.vocabulary)
    by_table = [i for i in range(1, len(TEXT))
                if PRIOR.table[ord(TEXT[i - 1]), ord(TEXT[i])] >= np.log(0.99)]  # fmt: skip
    assert spans == [(i, i + 1) for i in by_table]
    assert {TEXT[start:end] for start, end in spans} == {"u", " "}  # after a q, and a full stop


def test_nothing_to_smooth_is_one_line():
    scores = next(PRIOR.score(["xx"], CandidateRange(8, below=1.0)))
    result = next(edit_documents([(Document("d", "xx"), scores)], EditRule(), PRIOR.vocabulary))
    with pytest.raises(UserError, match=r"applied to none of 2 tokens.* lower edit\.threshold"):
        smoothing_amount(result.stats.summary())
