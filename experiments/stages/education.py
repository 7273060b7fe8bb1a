"""Educational value of a text: a classifier of the hub, or a substitute trained on embedded text.

The substitute tells the domains in :data:`EDUCATIONAL` from the others by their words. It stands in
for a classifier trained on judgements of educational value and measures something narrower; its
area under the curve on held-out documents is recorded with every selection.
"""

from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np

from toedit.document import Document
from toedit.errors import UserError

EDUCATIONAL = ("biomedical", "papers", "wikipedia", "exams")
TOKENS, BATCH = 512, 32


def substitute(
    train: Sequence[Document], held_out: Sequence[Document], texts: Sequence[str]
) -> tuple[np.ndarray, float]:
    """Log-odds of being educational, by logistic regression on hashed words and pairs.

    Args:
        train: human documents that name their domain.
        held_out: others, to measure it on.
        texts: what is judged.

    Returns:
        float64 ``[texts]``, and the area under the curve on the held-out documents.

    Raises:
        UserError: documents of one of the two kinds are missing.
    """
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    features = HashingVectorizer(n_features=2**16, ngram_range=(1, 2), alternate_sign=False)
    labels = [[d.metadata["domain"] in EDUCATIONAL for d in part] for part in (train, held_out)]
    if any(len(set(own)) < 2 for own in labels):
        raise UserError(
            "the substitute for an education classifier needs human text of both kinds, "
            f"{', '.join(EDUCATIONAL)} and others; change mixture.domains or set "
            "selection.education=MODEL"
        )
    model = LogisticRegression(class_weight="balanced", max_iter=1000)
    model.fit(features.transform([d.text for d in train]), labels[0])
    known = model.decision_function(features.transform([d.text for d in held_out]))
    return (
        model.decision_function(features.transform(texts)),
        float(roc_auc_score(labels[1], known)),
    )


def classifier(name: str, texts: Iterable[str]) -> np.ndarray:
    """Scores by a sequence classifier with one output, as fineweb-edu-classifier: 0 to 5.

    Args:
        name: a folder or a hub id, read as safetensors.
        texts: what is judged, by the first 512 tokens.

    Returns:
        float64 ``[texts]``.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForSequenceClassification

    from toedit.priors.hf import pick_device
    from toedit.priors.loading import load_tokenizer

    device = pick_device("auto")
    tokenizer = load_tokenizer(name)
    try:
        model, loaded = AutoModelForSequenceClassification.from_pretrained(
            name, use_safetensors=True, trust_remote_code=False, output_loading_info=True
        )
    except (OSError, ValueError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"cannot load selection.education={name!r}: {reason}") from error
    if loaded["missing_keys"] or model.config.num_labels != 1 or tokenizer.pad_token is None:
        raise UserError(
            f"selection.education={name!r} is no classifier with one output and a padding token, "
            "as HuggingFaceFW/fineweb-edu-classifier is"
        )
    model = model.to(device).eval()
    found, stream = [], iter(texts)
    while part := list(islice(stream, BATCH)):
        batch = tokenizer(
            part, truncation=True, max_length=TOKENS, padding=True, return_tensors="pt"
        ).to(device)
        with torch.inference_mode():
            found.append(model(**batch).logits[:, 0].double().cpu().numpy())
    return np.concatenate([np.zeros(0), *found])
