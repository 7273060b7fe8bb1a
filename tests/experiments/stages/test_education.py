"""A classifier of educational value has its own output layer, or is refused."""

import numpy as np
import pytest
from transformers import BertConfig, BertForSequenceClassification, BertModel

from experiments.stages.education import classifier
from toedit.errors import UserError
from toedit.priors.loading import load_tokenizer


@pytest.fixture()
def shape(tiny_encoder) -> BertConfig:
    return BertConfig.from_pretrained(tiny_encoder, num_labels=1)


def test_scores_are_those_of_the_saved_layer(shape, tiny_encoder, tmp_path):
    model = BertForSequenceClassification(shape).eval()
    model.save_pretrained(tmp_path)
    tokenizer = load_tokenizer(str(tiny_encoder))
    tokenizer.save_pretrained(tmp_path)
    batch = tokenizer(["the cat sat"], return_tensors="pt")
    expected = model(**batch).logits[0, 0].item()
    assert np.isclose(classifier(str(tmp_path), ["the cat sat"])[0], expected)


def test_a_model_without_that_layer_is_refused(shape, tiny_encoder, tmp_path):
    BertModel(shape).save_pretrained(tmp_path)
    load_tokenizer(str(tiny_encoder)).save_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"education classifier in .* lack classifier\.bias"):
        classifier(str(tmp_path), ["the cat sat"])
    several = BertConfig.from_pretrained(tiny_encoder, num_labels=3)
    BertForSequenceClassification(several).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="is no classifier with one output"):
        classifier(str(tmp_path), ["the cat sat"])
