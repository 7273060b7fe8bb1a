"""The algorithm on a prior whose every probability is known, under every preset and sampler."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toedit import EditRule, edit_scored, edit_texts, score_texts
from toedit.document import Document
from toedit.edit import DELETED, applies, edit_tokens
from toedit.editor import candidates_for, edit_documents, score_documents
from toedit.errors import UserError
from toedit.priors.base import CandidateRange, Vocabulary
from toedit.priors.table import TablePrior
from toedit.rules import PRESETS
from toedit.sampling import KeyedUniforms, TopK
from toedit.stats.edits import EditStats

PRIOR = TablePrior()
TEXT = "the quick brown fox jumps over seven lazy wizards in a jovial quiz of liquid vaccines. " * 3

RULES = {
    **PRESETS,
    "top_p": EditRule(sampler="top_p", threshold=0.5, top_p=0.9),
    "rejection": EditRule(sampler="rejection", threshold=0.5, source_token="excluded"),
    "low": EditRule(threshold=None, ceiling=0.1, source_token="included"),
    "band": EditRule(threshold=0.2, ceiling=0.6),
    "deletion": EditRule(delete_below=0.001),
}


def scores_of(text, rule, prior=PRIOR):
    return next(prior.score([text], candidates_for(rule)))


def probability(text, i):
    """P(x_i | x_<i) straight from the table."""
    data = text.encode()
    return math.exp(PRIOR.table[data[i - 1], data[i]])


@pytest.mark.parametrize("name", RULES)
def test_only_eligible_tokens_change(name):
    rule = RULES[name]
    edit = edit_tokens(scores_of(TEXT, rule), rule, PRIOR.vocabulary, KeyedUniforms(["d"], seed=1))
    low, high = rule.threshold or 0, rule.ceiling or 1
    for i, token in enumerate(TEXT.encode()):
        p = probability(TEXT, i) if i else math.nan
        inside = (low < p < high) if rule.strict else (low <= p <= high)
        assert edit.eligible[i] == inside
        if edit.ids[i] == DELETED:
            assert p < rule.delete_below
        elif edit.ids[i] != token:
            assert edit.eligible[i]
            assert PRIOR.vocabulary.proposable[edit.ids[i]]
    if rule.source_token == "excluded" and rule.sampler == "top_k":
        assert (edit.ids != np.frombuffer(TEXT.encode(), np.uint8))[edit.eligible].all()


def test_presets_edit_something_and_the_control_nothing():
    counts = {
        name: sum(
            edit_texts([TEXT], PRIOR, PRESETS[name], seed)[0].stats.changed for seed in range(100)
        )
        for name in PRESETS
    }
    assert counts["none"] == 0
    assert 0 < counts["paper_text"] < counts["released_code"] < counts["forced"]


def test_stay_is_the_exact_probability_of_no_change():
    for name in ("paper_text", "released_code", "rejection", "top_p"):
        rule = RULES[name]
        scores = scores_of(TEXT, rule)
        runs = [
            edit_tokens(scores, rule, PRIOR.vocabulary, KeyedUniforms(["d"], seed=seed))
            for seed in range(3000)
        ]
        stayed = np.mean([run.ids == scores.tokens.ids for run in runs], axis=0)
        exact = runs[0].stay
        error = np.sqrt(np.maximum(exact * (1 - exact), 1e-4) / len(runs))
        assert (np.abs(stayed - exact) < 5 * error).all(), name


class Hesitant(TopK):
    """A sampler that, half of the time, gives up."""

    may_give_up = True

    def __init__(self, rule):
        super().__init__(rule.k)

    def distribution(self, logprobs):
        return super().distribution(logprobs) / 2

    def draw(self, logprobs, probabilities, uniforms):
        columns, rounds = super().draw(logprobs, probabilities, 2 * uniforms % 1)
        return np.where(uniforms[:, 0] < 0.5, columns, -1), rounds


def test_a_token_also_stays_if_a_sampler_of_ones_own_gives_up():
    own = EditRule(sampler=f"{__name__}:Hesitant", threshold=0.5, source_token="included")
    scores = scores_of(TEXT, own)
    seeds = [KeyedUniforms(["d"], seed=seed) for seed in range(2000)]
    runs = [edit_tokens(scores, own, PRIOR.vocabulary, seed) for seed in seeds]
    stayed = np.mean([run.ids == scores.tokens.ids for run in runs], axis=0)
    assert runs[0].eligible.any()
    assert stayed == pytest.approx(runs[0].stay, abs=0.06)
    assert (runs[0].stay[runs[0].eligible] >= 0.5).all()


def test_released_code_distribution_by_hand():
    """softmax(log p / 1.5) over the top 8 and the token itself, at one position."""
    rule = PRESETS["released_code"]
    position = TEXT.index("q") + 1
    scores = scores_of(TEXT, rule)
    row = np.sort(np.exp(PRIOR.table[ord("q")].astype(float)))[::-1][:8] ** (1 / 1.5)
    expected = row[0] / row.sum()  # the source token, u, is the most probable one
    edit = edit_tokens(scores, rule, PRIOR.vocabulary, KeyedUniforms(["d"]))
    assert edit.stay[position] == pytest.approx(expected, rel=1e-5)


def test_same_key_same_edit_whatever_stands_beside_it():
    rule = PRESETS["released_code"]
    documents = [Document(f"d{i}", TEXT[i:]) for i in range(6)]

    def run(order):
        scored = score_documents(
            [documents[i] for i in order], PRIOR, candidates_for(rule), group=2
        )
        edited = edit_documents(scored, rule, PRIOR.vocabulary, 7)
        return {e.document.id: e.document.text for e in edited}

    assert run(range(6)) == run([5, 3, 1, 0, 2, 4])


def test_generations_draw_anew():
    rule = PRESETS["forced"]
    scores = scores_of(TEXT, rule)
    first = edit_tokens(scores, rule, PRIOR.vocabulary, KeyedUniforms(["d"])).ids
    second = edit_tokens(scores, rule, PRIOR.vocabulary, KeyedUniforms(["d"], generation=1)).ids
    assert not np.array_equal(first, second)


def test_a_replacement_character_in_the_source_may_stay():
    """A token that is never proposed is still a candidate where it is the source token."""
    scores = scores_of(TEXT, PRESETS["paper_text"])
    q = TEXT.index("qu")
    barred = PRIOR.vocabulary.proposable.copy()
    barred[ord("u")] = False
    vocabulary = Vocabulary(PRIOR.vocabulary.pieces, barred)
    edit = edit_tokens(scores, PRESETS["paper_text"], vocabulary, KeyedUniforms(["d"]))
    assert edit.eligible[q + 1]
    assert edit.stay[q + 1] > 0.99


def test_deleted_tokens_are_not_eligible_and_count_apart():
    rule = EditRule(threshold=None, ceiling=0.5, delete_below=0.001)
    scores = next(PRIOR.score(["quiz xyzzy"], candidates_for(rule)))
    edit = edit_tokens(scores, rule, PRIOR.vocabulary, KeyedUniforms(["d"]))
    deleted = edit.ids == DELETED
    assert deleted.any()
    assert not (deleted & edit.eligible).any()
    stats = EditStats.of(scores, edit)[0]
    assert stats.deleted == deleted.sum()
    assert "deleting p < 0.001" in rule.describe()


def test_scores_without_the_candidates_are_refused():
    scores = next(PRIOR.score([TEXT], CandidateRange(8, above=0.999999)))
    with pytest.raises(UserError, match="no candidates"):
        edit_tokens(scores, PRESETS["paper_text"], PRIOR.vocabulary, KeyedUniforms(["d"]))


def test_rules_share_a_scoring_pass_as_if_each_had_its_own():
    rules = [PRESETS["paper_text"], EditRule(threshold=0.5, k=4, temperature=1.5)]
    scored = score_texts([TEXT, TEXT[::2], ""], PRIOR, *rules)
    for rule in rules:
        once, shared = (
            edit_texts([TEXT, TEXT[::2], ""], PRIOR, rule),
            edit_scored(scored, PRIOR, rule),
        )
        assert [e.document.text for e in once] == [e.document.text for e in shared]
        for one, other in zip(once, shared, strict=True):
            assert [(c.start, c.new) for c in one.changes] == [
                (c.start, c.new) for c in other.changes
            ]
            assert one.stats == other.stats


def test_a_rule_that_was_not_scored_for_is_refused():
    scored = score_texts([TEXT], PRIOR, EditRule(threshold=0.9, k=4))
    with pytest.raises(UserError, match="hold 4 candidates a token and the rule needs 8"):
        edit_scored(scored, PRIOR, EditRule(threshold=0.9, k=8))
    with pytest.raises(UserError, match="no candidates"):
        edit_scored(scored, PRIOR, EditRule(threshold=0.01, k=4))


def test_ids_key_the_edits():
    rule = EditRule(threshold=0.01)
    first, second = (
        edit_scored(score_texts([TEXT], PRIOR, rule, ids=[name]), PRIOR, rule) for name in "ab"
    )
    assert first[0].document.text != second[0].document.text


def test_condition_compares_in_log_space():
    logprobs = np.log(np.array([0.99, 0.5, 0.1, np.nan], np.float32))
    exact = math.exp(float(logprobs[1]))
    assert applies(EditRule(threshold=exact), logprobs).tolist() == [True, True, False, False]
    assert applies(EditRule(threshold=exact, strict=True), logprobs).tolist() == [True] + 3 * [
        False
    ]


HOSTILE = [
    "",
    "a",
    "\ufffd",
    "\x00",
    "\ufeffquiz",
    "שלום quiz",
    "e\u0301 quiz",
    "👩‍👩‍👧 quiz q",
    "<|im_end|>quiz",
]


@settings(max_examples=60)
@given(st.one_of(st.sampled_from(HOSTILE), st.text(max_size=80)), st.sampled_from(sorted(RULES)))
def test_edited_text_is_the_source_outside_changed_spans(text, name):
    rule = RULES[name]
    result = edit_texts([text], PRIOR, rule)[0]
    assert result.document.text.encode().decode() == result.document.text
    assert result.document.text.count("\ufffd") == text.count("\ufffd")
    if result.stats.changed + result.stats.deleted == 0:
        assert result.document.text == text
    if rule.delete_below is None:
        assert len(result.document.text) == len(text)  # one ASCII byte for another
        changed = sum(a != b for a, b in zip(result.document.text, text, strict=True))
        assert changed == result.stats.changed


@pytest.mark.parametrize("name", RULES)
def test_a_token_alone_gets_the_bits_it_gets_beside_others(name):
    for text in ("xqu", "quiz", TEXT):
        alone = edit_texts([text], PRIOR, RULES[name])[0].edit
        beside = edit_texts([text, TEXT, "", "qu"], PRIOR, RULES[name])[0].edit
        for field in ("ids", "stay", "rounds"):
            assert np.array_equal(getattr(alone, field), getattr(beside, field))


def test_statistics_add_up():
    rule = PRESETS["released_code"]
    parts = [r.stats for r in edit_texts([TEXT, "quiz", ""], PRIOR, rule)]
    total = EditStats()
    for part in parts:
        total.add(part)
    alone = [edit_texts([text], PRIOR, rule)[0].stats for text in (TEXT, "", "")]
    assert parts[0] == alone[0]  # a document's statistics do not depend on what stands beside it
    assert EditStats.from_json(json.loads(json.dumps(total.to_json()))) == total
    assert sum(total.eligible_histogram) == total.eligible
    assert sum(total.changed_histogram) == total.changed > 0
    assert total.documents == 3
    assert total.tokens == len(TEXT) + 4
    assert total.scored == len(TEXT) - 1 + 3
    assert sum(total.histogram) == total.scored
    logprobs = np.concatenate([s.logprobs for s in PRIOR.score([TEXT, "quiz"], CandidateRange())])
    assert total.log_likelihood == pytest.approx(np.nansum(logprobs), rel=1e-6)  # nats
    assert total.highest_probability == np.exp(np.nanmax(logprobs.astype(float)))
    stay = np.concatenate([r.edit.stay for r in edit_texts([TEXT, "quiz"], PRIOR, rule)])
    assert total.smoothing == pytest.approx((1 - stay).sum(), rel=1e-6)
    assert total.kl == pytest.approx(-np.log(stay).sum(), rel=1e-6)
    assert all(isinstance(v, float) for v in (total.smoothing, total.kl, total.log_likelihood))
    summary = total.summary()
    assert summary["changed_per_10k"] == pytest.approx(1e4 * total.changed / total.tokens)
    assert 0 < summary["smoothing"] < 1
    forced = edit_texts([TEXT], PRIOR, PRESETS["forced"])[0].stats.summary()
    assert forced["kl"] is None
    assert forced["smoothing"] == pytest.approx(1.0)
    assert EditStats().summary()["perplexity"] is None


def test_a_document_that_fails_is_kept_and_counted():
    class Failing(TablePrior):
        def score(self, texts, candidates):
            if any("poison" in text for text in texts):
                raise RuntimeError("out of memory")
            return super().score(texts, candidates)

    results = edit_texts([TEXT, "poison", "quiz"], Failing(), PRESETS["forced"])
    assert [r.document.text for r in results][1] == "poison"
    assert [r.stats.failed for r in results] == [[], ["1"], []]
    assert results[0].stats.changed > 0
