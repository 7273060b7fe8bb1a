"""Editing that sees its own edits, ensembles of priors, texts of which only a part may change."""

import numpy as np
import pytest
import torch
from conftest import SENTENCES, build_tiny_model

from toedit.autoregressive import edit_autoregressively
from toedit.document import Document
from toedit.edit import edit_tokens
from toedit.editor import candidates_for, edit_documents
from toedit.errors import UserError
from toedit.priors import PriorConfig, load_prior
from toedit.priors.base import CandidateRange
from toedit.priors.hf import HFPrior
from toedit.priors.loading import load_model, load_tokenizer
from toedit.priors.table import TablePrior
from toedit.rules import PRESETS, EditRule
from toedit.sampling import KeyedUniforms, softmax

PRIOR = TablePrior()
TEXT = "the quick brown fox jumps over seven lazy wizards in a jovial quiz of liquid vaccines. " * 3
EVERYWHERE = CandidateRange(5, above=1e-300)


def by_hand(text: str, rule: EditRule, document: str, seed: int) -> list[int]:
    """Left to right, a token at a time, straight from the table."""
    source = list(text.encode())
    uniforms = KeyedUniforms([document], seed=seed)(np.arange(len(source)), 1)[:, 0]
    edited = source[:1]
    for i in range(1, len(source)):
        row = PRIOR.table[edited[i - 1]].astype(float)
        token = source[i]
        if row[token] >= np.log(rule.threshold):
            order = np.argsort(-row, kind="stable")[: rule.k]
            order = [c for c in order if c < 128 and c != token]
            weights = softmax(row[order][None] / rule.temperature)[0].cumsum()
            token = order[int((weights > uniforms[i]).argmax())]
        edited.append(int(token))
    return edited


@pytest.mark.parametrize("seed", range(5))
def test_autoregressive_editing_equals_one_token_at_a_time(seed):
    rule = EditRule(threshold=0.3, temperature=2.0, source_token="excluded")
    tokens = PRIOR.tokenize(TEXT)
    keys = KeyedUniforms(["d"], seed=seed)
    edit, _ = edit_autoregressively(tokens, PRIOR, candidates_for(rule), rule, keys)
    assert edit.ids.tolist() == by_hand(TEXT, rule, "d", seed)
    parallel = edit_tokens(
        next(PRIOR.score([TEXT], candidates_for(rule))), rule, PRIOR.vocabulary, keys
    )
    assert (edit.ids != parallel.ids).any()  # it does see its own edits


def test_autoregressive_editing_takes_one_pass_more_than_it_has_changes():
    rule = PRESETS["released_code"]
    passes = []

    class Counting(TablePrior):
        def score_tokens(self, documents, candidates):
            passes.append(1)
            return super().score_tokens(documents, candidates)

    tokens = PRIOR.tokenize(TEXT)
    edit, _ = edit_autoregressively(
        tokens, Counting(), candidates_for(rule), rule, KeyedUniforms(["d"])
    )
    assert len(passes) == 1 + int((edit.ids != tokens.ids).sum()) > 1
    deleting = EditRule(delete_below=0.1)
    with pytest.raises(UserError, match="cannot delete"):
        edit_autoregressively(
            tokens, PRIOR, candidates_for(deleting), deleting, KeyedUniforms(["d"])
        )


@pytest.fixture(scope="module")
def two_models(tiny_model, tmp_path_factory):
    other = build_tiny_model(tmp_path_factory.mktemp("other"))
    model = load_model(str(other))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(
                0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
            )
    model.save_pretrained(other)
    return tiny_model, other


def test_an_ensemble_averages_probabilities(two_models):
    models = [load_model(str(folder)) for folder in two_models]
    tokenizer = load_tokenizer(str(two_models[0]))
    together = HFPrior(models[0], tokenizer, ensemble=models[1:])
    for text, scores in zip(SENTENCES, together.score(SENTENCES, EVERYWHERE), strict=True):
        ids = torch.tensor([tokenizer(text).input_ids])
        with torch.no_grad():
            mean = sum(m(ids).logits[0].softmax(-1) for m in models) / 2
        expected = mean[:-1].gather(1, ids[0, 1:, None])[:, 0].log()
        assert np.allclose(scores.logprobs[1:], expected, atol=1e-4)
        top = mean[scores.rows.astype(np.int64) - 1].topk(5)
        assert np.allclose(scores.candidate_logprobs, top.values.log(), atol=1e-4)


def test_an_ensemble_is_loaded_by_name_and_must_share_a_tokenizer(two_models, tmp_path):
    first, second = map(str, two_models)
    prior = load_prior(PriorConfig(model=first, ensemble=[second]))
    assert len(prior.members) == 2
    other = build_tiny_model(tmp_path, begin=True)
    tokenizer = load_tokenizer(str(other))
    tokenizer.add_tokens(["<|new|>"])
    tokenizer.save_pretrained(other)
    with pytest.raises(UserError, match="has another tokenizer"):
        load_prior(PriorConfig(model=first, ensemble=[str(other)]))


@pytest.mark.parametrize("prior", ["table", "tiny"])
def test_only_what_is_editable_changes(prior, tiny_model):
    prior = (
        PRIOR
        if prior == "table"
        else HFPrior(load_model(str(tiny_model)), load_tokenizer(str(tiny_model)))
    )
    prompt, answer, rest = "quick question: " * 4, "quiet queries in quantity " * 4, "quit quoting"
    text = prompt + answer + rest
    document = Document("d", text, {}, ((len(prompt), len(prompt) + len(answer)),))
    changed = 0
    for rule in (EditRule(threshold=1e-9, source_token="excluded"), EditRule(delete_below=1e-3)):
        scores = next(prior.score([text], CandidateRange(8, above=1e-300)))
        edited = next(edit_documents([(document, scores)], rule, prior.vocabulary, 3)).document
        ((start, end),) = edited.editable
        assert edited.text[:start] == prompt
        assert edited.text[end:] == rest
        changed += edited.text[start:end] != answer
    assert changed == 2
