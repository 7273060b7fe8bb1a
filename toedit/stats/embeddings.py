"""Sentence embeddings of documents, and how much corpora keep to themselves among them."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from toedit.errors import UserError

BATCH = 32
BLOCK = 1024
"""Documents whose neighbours are looked for together."""

TIE = 1e-6
"""Cosines that differ by no more are equal."""


class SentenceEncoder:
    """A sentence-transformers model: mean over the tokens' last states, divided by its norm.

    Args:
        name: ``embedded`` (all-MiniLM-L6-v2), a folder, or a hub id.
        max_length: tokens of a document that are read; what follows is cut off, as that package
            does.
        revision: commit of a hub model.
        device: a torch device.

    Raises:
        UserError: it cannot be found or read.
    """

    def __init__(
        self,
        name: str = "embedded",
        max_length: int = 256,
        revision: str | None = None,
        device: str = "cpu",
    ) -> None:
        import torch
        from safetensors import SafetensorError
        from transformers import AutoModel, AutoTokenizer

        from toedit.embedded import encoder_folder

        place = str(encoder_folder()) if name == "embedded" else name
        self.max_length, self.device = max_length, device
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(
                place, revision=revision, trust_remote_code=False
            )
            self.model: Any = AutoModel.from_pretrained(
                place,
                revision=revision,
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
            )
        except (OSError, ValueError, SafetensorError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"cannot load the sentence encoder {name!r}: {reason}") from error
        longest = getattr(self.model.config, "max_position_embeddings", max_length)
        if max_length > longest:
            raise UserError(
                f"the sentence encoder {name!r} reads {longest} tokens, not {max_length}"
            )
        self.model.to(device).eval()

    def encode(self, texts: Sequence[str], label: str = "embed") -> np.ndarray:
        """Embeds documents.

        Args:
            texts: the documents; an empty one has an embedding too.
            label: of the progress bar.

        Returns:
            float32 ``[n, width]`` of norm 1.
        """
        import torch
        from tqdm import tqdm

        order = sorted(range(len(texts)), key=lambda i: (len(texts[i]), i))
        found: dict[int, np.ndarray] = {}
        bar = tqdm(total=len(texts), desc=label, unit="doc", mininterval=1)
        with bar, torch.inference_mode():
            for start in range(0, len(order), BATCH):
                batch = order[start : start + BATCH]
                tokens = self.tokenizer(
                    [texts[i] for i in batch],
                    truncation=True,
                    max_length=self.max_length,
                    padding=True,
                    return_tensors="pt",
                ).to(self.device)
                states = self.model(**tokens).last_hidden_state
                mask = tokens["attention_mask"][..., None].to(states.dtype)
                mean = (states * mask).sum(1) / mask.sum(1).clamp(min=1)
                normed = torch.nn.functional.normalize(mean, dim=-1).cpu().numpy()
                found.update(zip(batch, normed, strict=True))
                bar.update(len(batch))
        return np.stack([found[i] for i in range(len(texts))])


def purity(embeddings: np.ndarray, labels: np.ndarray, neighbours: int = 10) -> np.ndarray:
    """Of each document, the share of its nearest neighbours that come from its own corpus.

    With as many documents of either of two corpora it is about 0.5 where they cannot be told apart
    (a little less, since no document is its own neighbour) and 1 where they lie apart.

    Documents as near as the last of the nearest share its place, so that copies in both corpora
    count for neither.

    Args:
        embeddings: ``[n, width]`` of norm 1.
        labels: corpus of each document ``[n]``.
        neighbours: how many, by cosine; all others where there are fewer.

    Returns:
        float64 ``[n]``; NaN for a single document.
    """
    count = len(embeddings)
    nearest = min(neighbours, count - 1)
    if nearest < 1:
        return np.full(count, np.nan)
    found = []
    for start in range(0, count, BLOCK):
        similarity = embeddings[start : start + BLOCK] @ embeddings.T
        rows = np.arange(len(similarity))
        similarity[rows, start + rows] = -np.inf
        same = labels == labels[start + rows][:, None]
        last = np.partition(similarity, -nearest, axis=1)[:, -nearest, None]
        nearer, tied = similarity > last + TIE, np.abs(similarity - last) <= TIE
        left = nearest - nearer.sum(axis=1)
        own = (same & nearer).sum(axis=1) + left * (same & tied).sum(axis=1) / tied.sum(axis=1)
        found.append(own / nearest)
    return np.concatenate(found)
