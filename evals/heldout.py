"""Negative log-likelihood and perplexity of held-out text and responses."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from toedit.corpora.packing import Example
from toedit.document import Document
from toedit.editor import score_documents
from toedit.errors import UserError
from toedit.priors.base import CandidateRange, Prior

GROUPS = ("domain", "kind", "seen", "set")
"""Columns that group held-out text, if a corpus has them."""

LONGEST = 32
"""Upper bound on the mean number of characters per token."""


def held_out(
    prior: Prior,
    documents: Iterable[Document],
    max_tokens: int | None = None,
    first_tokens: int | None = None,
) -> list[dict[str, Any]]:
    """Compute the negative log-likelihood of documents by the scorer that editing uses.

    Args:
        prior: the model to evaluate.
        documents: held-out text.
        max_tokens: stop before the document that would exceed this many tokens; None for all.
        first_tokens: count only this many tokens of each document (1024 in the paper's
            ``eval_ppl_for_olmo_ds.py``), and read at most :data:`LONGEST` characters for each;
            None for all.

    Returns:
        A row per document: ``item`` (id), ``nll`` (nats over scored tokens), ``tokens`` (scored),
        ``bytes`` (UTF-8 bytes of the text they span), and its :data:`GROUPS`.
    """
    rows: list[dict[str, Any]] = []
    total = 0
    if first_tokens is not None:
        documents = (replace(d, text=d.text[: LONGEST * first_tokens]) for d in documents)
    for document, scores in score_documents(documents, prior, CandidateRange(), group=8):
        if scores is None:
            raise RuntimeError(f"held-out document {document.id!r} could not be scored")
        counted = len(scores.tokens) if first_tokens is None else first_tokens
        scored = np.flatnonzero(scores.scored[:counted])
        total += min(counted, len(scores.tokens))
        if max_tokens is not None and total > max_tokens and rows:
            break
        if len(scored):
            start = int(scores.tokens.starts[scored[0]])
            cut = counted < len(scores.tokens)
            stop = int(scores.tokens.starts[counted]) if cut else len(document.text)
            rows.append(
                {
                    "item": document.id,
                    "nll": float(-scores.logprobs[scored].astype(np.float64).sum()),
                    "tokens": len(scored),
                    "bytes": len(document.text[start:stop].encode("utf-8", "surrogatepass")),
                    **{key: document.metadata[key] for key in GROUPS if key in document.metadata},
                }
            )
    return rows


def held_out_responses(
    model: Any,
    tokenizer: Any,
    records: Iterable[Example],
    window: int,
    max_tokens: int | None = None,
) -> list[dict[str, Any]]:
    """Compute the negative log-likelihood of the responses of conversations, given their context.

    Args:
        model: a causal language model of transformers.
        tokenizer: its tokenizer.
        records: tokenized conversations, with a mask of response tokens.
        window: length to which records are cut; those without a response are skipped.
        max_tokens: stop before the record that would exceed this many tokens; None for all.

    Returns:
        A row per record: ``item`` (id), ``nll`` (nats over response tokens, end of response
        included), ``tokens`` (of responses) and ``bytes`` (UTF-8 bytes of their text).

    Raises:
        UserError: no record has a response within the window.
    """
    import torch

    rows: list[dict[str, Any]] = []
    total = 0
    for record in records:
        ids, learned = record.ids[:window], record.learned[1:window]
        total += len(ids)
        if max_tokens is not None and total > max_tokens and rows:
            break
        if not learned.any():
            continue
        batch = torch.from_numpy(ids).long().to(model.device)[None]
        with torch.no_grad():
            logits = model(batch, use_cache=False).logits[0, :-1]
        at = torch.from_numpy(learned).to(model.device)
        logprobs = logits[at].float().log_softmax(-1).gather(-1, batch[0, 1:][at][:, None])
        text = tokenizer.decode(ids[1:][learned], skip_special_tokens=True)
        rows.append(
            {
                "item": record.id,
                "nll": float(-logprobs.double().sum()),
                "tokens": int(learned.sum()),
                "bytes": len(text.encode("utf-8", "surrogatepass")),
            }
        )
    if not rows:
        raise UserError(
            f"no response of the held-out text begins within eval.window={window} tokens; raise "
            "it, or give more held-out text"
        )
    return rows


def corpus_perplexity(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Sum up rows of :func:`held_out`: size, token-weighted perplexity and bits per byte."""
    nll, tokens, size = (sum(row[key] for row in rows) for key in ("nll", "tokens", "bytes"))
    return {
        "documents": len(rows),
        "tokens": tokens,
        "bytes": size,
        "perplexity": perplexity(nll, tokens),
        "bits_per_byte": bits_per_byte(nll, size),
    }


def bits_per_byte(nll: float, size: int) -> float:
    """Convert a negative log-likelihood in nats over ``size`` UTF-8 bytes to bits per byte."""
    return nll / math.log(2) / size


def perplexity(nll: float, tokens: int) -> float:
    """Convert a negative log-likelihood in nats to token perplexity."""
    return math.exp(nll / tokens)
