"""Synthesis: prompts, sampling keyed by text and place, and what is dropped."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import SENTENCES

from toedit.document import Document
from toedit.errors import UserError
from toedit.priors.loading import load_model, load_tokenizer
from toedit.synthesis import Synthesis, requests
from toedit.synthesis.generate import KeyedSampling, generate

HUMAN = [Document(f"d{i}", f"{text} {text}") for i, text in enumerate(SENTENCES)]
CONTINUE = Synthesis(
    mode="continue", documents=6, extract=20, max_new_tokens=12, batch=3, temperature=5.0, top_p=1.0
)


def test_requests_quote_every_document_before_one_twice():
    number = len(HUMAN) + 2
    made = list(requests(HUMAN, Synthesis(documents=number), seed=1))
    assert {r.seed for r in made[: len(HUMAN)]} == {d.id for d in HUMAN}
    assert len({r.id for r in made}) == number
    texts = {d.id: d.text for d in HUMAN}
    for request in made:
        assert request.format in request.prompt
        assert request.audience in request.prompt
        quoted = request.prompt.split('"')[1]
        assert texts[request.seed].startswith(quoted)
        assert len(quoted) <= 250
    assert made == list(requests(HUMAN, Synthesis(documents=number), seed=1))
    assert made != list(requests(HUMAN, Synthesis(documents=number), seed=2))
    with pytest.raises(UserError, match="no human text"):
        next(requests([], Synthesis()))


@pytest.mark.parametrize("text", ["braces {format} {0}", "", "ohneleerzeichen" * 40])
@pytest.mark.parametrize("mode", ["write", "rephrase", "continue"])
def test_any_text_can_be_quoted(mode, text):
    (request,) = requests([Document("d", text)], Synthesis(mode=mode, documents=1))
    assert text[:250] in request.prompt


def test_draws_have_the_distribution_of_the_settings():
    number = 40_000
    logits = torch.log(torch.tensor([0.5, 0.25, 0.15, 0.07, 0.03]))
    settings = Synthesis(temperature=1.0, top_p=0.8, top_k=None)
    uniforms = np.random.default_rng(0).random((number, 1))
    sampling = KeyedSampling(uniforms, 3, settings)
    drawn = sampling(torch.zeros(number, 3), logits.expand(number, -1)).argmax(dim=1)
    shares = torch.bincount(drawn, minlength=5).double() / number
    # The nucleus is the smallest set that holds 0.8: three tokens, 0.9 in all.
    expected = torch.tensor([0.5, 0.25, 0.15, 0, 0], dtype=torch.float64) / 0.9
    assert (shares - expected).abs().max() < 0.01
    assert not shares[3:].any()
    greedy = KeyedSampling(uniforms, 3, replace(settings, top_k=1))
    assert not greedy(torch.zeros(number, 3), logits.expand(number, -1)).argmax(dim=1).any()
    ends = KeyedSampling(np.array([[0.0], [1 - 2**-53]]), 3, settings)
    assert ends(torch.zeros(2, 3), logits.expand(2, -1)).argmax(dim=1).tolist() == [0, 2]


def test_a_text_depends_on_its_name_seed_and_generation(tiny_model):
    model, tokenizer = load_model(str(tiny_model)), load_tokenizer(str(tiny_model))
    names, prompts = ["a", "b", "c"], [SENTENCES[0][:20]] * 3
    first = generate(model, tokenizer, names, prompts, CONTINUE)
    assert first == generate(model, tokenizer, names, prompts, CONTINUE)
    assert len(set(first)) == 3
    for changed in ({"seed": 1}, {"generation": 1}):
        assert first != generate(model, tokenizer, names, prompts, CONTINUE, **changed)
    with pytest.raises(UserError, match=r"lower synthesis\.extract or max_new_tokens"):
        generate(model, tokenizer, names, prompts, replace(CONTINUE, max_new_tokens=10**6))
    tokenizer.chat_template = None
    with pytest.raises(UserError, match="no chat template"):
        generate(model, tokenizer, names, prompts, replace(CONTINUE, mode="write"))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mode": "translate"}, "synthesis.mode"),
        ({"temperature": 0}, "synthesis.temperature=0"),
        ({"top_p": 1.5}, "synthesis.top_p=1.5"),
        ({"formats": []}, "synthesis.formats"),
    ],
)
def test_settings_that_make_no_sense_are_refused(fields, message):
    with pytest.raises(UserError, match=message):
        Synthesis(**fields)


@pytest.mark.parametrize(
    "template", ["{{ raise_exception('no') }}", "{% if %}", "{{ 1 / 0 }}", 5, {"other": "x"}]
)
def test_a_chat_template_that_fails_is_one_line(template, tiny_model):
    model, tokenizer = load_model(str(tiny_model)), load_tokenizer(str(tiny_model))
    tokenizer.chat_template = template
    with pytest.raises(UserError, match="the chat template refuses it: "):
        generate(model, tokenizer, ["a"], ["Write."], Synthesis(max_new_tokens=4))
