"""Offsets cover all of a token, and edits stay inside of responses, with any tokenizer."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizer_kinds import FAITHFUL, KINDS, SPECIAL, tokenizer_of
from transformers import LlamaConfig, LlamaForCausalLM

from toedit import PRESETS
from toedit.corpora.conversations import as_conversation, messages_of
from toedit.corpora.packing import pack
from toedit.document import Document
from toedit.editor import candidates_for, edit_documents, score_documents
from toedit.errors import UserError
from toedit.offsets import exact_offsets
from toedit.priors.hf import HFPrior

TEXT = st.text("aeTh qu.\n\t ﬁ½日\U0001f600", max_size=30)


@pytest.mark.parametrize("kind", FAITHFUL)
@settings(max_examples=50)
@given(text=TEXT)
def test_the_tokens_of_a_byte_level_tokenizer_cover_every_character(kind, text):
    tokenizer = tokenizer_of(kind)
    encoded = exact_offsets(tokenizer)(text, add_special_tokens=False, return_offsets_mapping=True)
    assert encoded["input_ids"] == tokenizer(text, add_special_tokens=False)["input_ids"]
    covered = {place for start, end in encoded["offset_mapping"] for place in range(start, end)}
    assert covered == set(range(len(text)))


def test_only_a_tokenizer_that_trims_is_copied_and_keeps_its_own_offsets():
    plain, trimmed = tokenizer_of("byte_level"), tokenizer_of("trimmed")
    assert exact_offsets(plain) is plain
    assert exact_offsets(trimmed) is not trimmed
    (start, _), *_ = trimmed(" quick", return_offsets_mapping=True)["offset_mapping"]
    assert start == 1


def test_a_tokenizer_without_offsets_is_named():
    with pytest.raises(UserError, match="the tokenizer object has no fast version"):
        exact_offsets(object())


def test_smoothing_marks_reach_tokens_of_spaces():
    text, spans = "quick \n\n  fox", [[(5, 10)]]
    marked = [
        pack([text], tokenizer_of(kind), 0, 1, 5, spans=spans)["smoothed"].tolist()
        for kind in ("trimmed", "byte_level")
    ]
    assert marked[0] == marked[1]
    assert any(map(any, marked[0]))


PARTS = [("user", "Which fox jumps?\n"), ("assistant", "  The quick brown fox,\n\n  and "),
         ("user", " Why ﬁve?"), ("assistant", "Vitamin D levels were measured in patients. "),
         ("user", "  "), ("assistant", " quality\n")]  # fmt: skip


def edited(kind: str, rows: int = 720):
    """A conversation edited at every token that may change."""
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=rows, num_attention_heads=4, **shape)).eval()
    prior = HFPrior(model, tokenizer_of(kind))
    talk = [{"role": role, "content": content} for role, content in PARTS]
    documents = [as_conversation(Document(str(i), ""), talk, "x") for i in range(3)]
    rule = PRESETS["forced"].__class__(threshold=1e-9, source_token="excluded")
    scored = score_documents(documents, prior, candidates_for(rule))
    return list(edit_documents(scored, rule, prior.vocabulary))


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in ("word_piece",)])
def test_edits_stay_inside_of_responses_and_reach_each(kind):
    for result in edited(kind):
        before, after = messages_of(result.source), messages_of(result.document)
        assert [m for m in after if m["role"] == "user"] == [
            m for m in before if m["role"] == "user"
        ]
        changed = [a != b for a, b in zip(after, before, strict=True)]
        assert changed == [m["role"] == "assistant" for m in before]
        spans = result.source.editable
        for change in result.changes:
            stop = change.start + len(change.old)
            assert any(start <= change.start and stop <= end for start, end in spans)
        assert not any(token in result.document.text for token in SPECIAL)


def test_trimmed_offsets_change_no_edit():
    plain, trimmed = edited("byte_level"), edited("trimmed")
    assert [e.document.text for e in plain] == [e.document.text for e in trimmed]
    for a, b in zip(plain, trimmed, strict=True):
        assert np.array_equal(a.edit.eligible, b.edit.eligible)
