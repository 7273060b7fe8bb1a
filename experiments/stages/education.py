"""Educational value of texts, by a classifier of the hub or a substitute trained on embedded text.

The substitute distinguishes the domains in :data:`EDUCATIONAL` from the others by their words. It
replaces a classifier trained on judgements of educational value, and measures something narrower.
Its area under the curve on held-out documents is recorded with every selection.
"""

from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np

from toedit.document import Document
from toedit.errors import UserError
from toedit.priors.loading import load_tokenizer, load_weights

EDUCATIONAL = ("biomedical", "papers", "wikipedia", "exams")
TOKENS, BATCH = 512, 32


def substitute(
    train: Sequence[Document], held_out: Sequence[Document], texts: Sequence[str]
) -> tuple[np.ndarray, float]:
    """Log-odds of being educational, by logistic regression on hashed words and pairs.

    Args:
        train: human documents with their domain.
        held_out: other such documents, for the area under the curve.
        texts: texts to score.

    Returns:
        float64 ``[texts]``, and the area under the curve on the held-out documents.

    Raises:
        UserError: educational or other documents are missing.
    """
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    features = HashingVectorizer(n_features=2**16, ngram_range=(1, 2), alternate_sign=False)
    labels = [[d.metadata["domain"] in EDUCATIONAL for d in part] for part in (train, held_out)]
    if any(len(set(part)) < 2 for part in labels):
        raise UserError(
            "the substitute for an education classifier needs human text of both kinds, "
            f"{', '.join(EDUCATIONAL)} and others; change mixture.domains or set "
            "selection.education=MODEL"
        )
    model = LogisticRegression(class_weight="balanced", max_iter=1000)
    model.fit(features.transform([d.text for d in train]), labels[0])
    held_out_scores = model.decision_function(features.transform([d.text for d in held_out]))
    area = float(roc_auc_score(labels[1], held_out_scores))
    return model.decision_function(features.transform(texts)), area


def classifier(name: str, texts: Iterable[str]) -> np.ndarray:
    """Score the first 512 tokens of texts by a sequence classifier with one output, such as
    fineweb-edu-classifier (0 to 5).

    Args:
        name: a folder or a hub id, read as safetensors.
        texts: texts to score.

    Returns:
        float64 ``[texts]``.

    Raises:
        UserError: it cannot be loaded, or is no classifier with one output.
    """
    import torch

    from toedit.priors.hf import pick_device

    device = pick_device("auto")
    tokenizer = load_tokenizer(name)
    model = load_weights("AutoModelForSequenceClassification", name, what="education classifier")
    if model.config.num_labels != 1 or tokenizer.pad_token is None:
        raise UserError(
            f"selection.education={name!r} is no classifier with one output and a padding token, "
            "as HuggingFaceFW/fineweb-edu-classifier is"
        )
    model = model.to(device).eval()
    scores, stream = [], iter(texts)
    while part := list(islice(stream, BATCH)):
        batch = tokenizer(
            part, truncation=True, max_length=TOKENS, padding=True, return_tensors="pt"
        ).to(device)
        with torch.inference_mode():
            scores.append(model(**batch).logits[:, 0].double().cpu().numpy())
    return np.concatenate([np.zeros(0), *scores])
