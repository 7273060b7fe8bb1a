"""Sentence embeddings of documents, and the purity of nearest neighbours between corpora."""

from collections.abc import Sequence

import numpy as np

from toedit.errors import UserError
from toedit.priors.loading import load_tokenizer, load_weights
from toedit.progress import progress

BATCH = 32
BLOCK = 1024
"""Documents whose neighbours are searched at once."""

TIE = 1e-6
"""Maximum difference of cosines that count as equal."""


class SentenceEncoder:
    """A sentence-transformers model: normalised mean of the tokens' last hidden states.

    Args:
        name: ``embedded`` (all-MiniLM-L6-v2), a folder, or a hub id.
        max_length: maximum tokens of a document; the rest is cut off, as that package does.
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

        from toedit.embedded import encoder_folder

        path = str(encoder_folder()) if name == "embedded" else name
        self.max_length, self.device = max_length, device
        # Embeddings are means of tokens: a pooling layer over the first token is not used.
        self.model = load_weights(
            "AutoModel", path, revision, "sentence encoder", ["pooler."], dtype=torch.float32
        )
        self.tokenizer = load_tokenizer(path, revision)
        longest = getattr(self.model.config, "max_position_embeddings", max_length)
        if max_length > longest:
            raise UserError(
                f"the sentence encoder {name!r} reads {longest} tokens, not {max_length}"
            )
        self.model.to(device).eval()

    def encode(self, texts: Sequence[str], label: str = "embed") -> np.ndarray:
        """Embed documents, float32 ``[n, width]`` of norm 1; an empty text has an embedding too."""
        import torch

        order = sorted(range(len(texts)), key=lambda i: (len(texts[i]), i))
        embeddings: dict[int, np.ndarray] = {}
        with progress(len(texts), label, "documents") as work, torch.inference_mode():
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
                embeddings.update(zip(batch, normed, strict=True))
                work.advance(len(batch))
        return np.stack([embeddings[i] for i in range(len(texts))])


def purity(embeddings: np.ndarray, labels: np.ndarray, neighbours: int = 10) -> np.ndarray:
    """Return the share of each document's nearest neighbours that are from the same corpus.

    For two corpora of equal size it is about 0.5 if they are indistinguishable (slightly less,
    since no document is its own neighbour) and 1 if they are separate. Documents as near as the
    last neighbour share its weight, so that copies in both corpora count for neither.

    Args:
        embeddings: ``[n, width]`` of norm 1.
        labels: corpus of each document ``[n]``.
        neighbours: number of neighbours, by cosine; at most all other documents.

    Returns:
        float64 ``[n]``; NaN for a single document.
    """
    count = len(embeddings)
    nearest = min(neighbours, count - 1)
    if nearest < 1:
        return np.full(count, np.nan)
    shares = []
    for start in range(0, count, BLOCK):
        similarity = embeddings[start : start + BLOCK] @ embeddings.T
        rows = np.arange(len(similarity))
        similarity[rows, start + rows] = -np.inf
        same = labels == labels[start + rows][:, None]
        last = np.partition(similarity, -nearest, axis=1)[:, -nearest, None]
        nearer, tied = similarity > last + TIE, np.abs(similarity - last) <= TIE
        remaining = nearest - nearer.sum(axis=1)
        tied_share = remaining * (same & tied).sum(axis=1) / tied.sum(axis=1)
        shares.append(((same & nearer).sum(axis=1) + tied_share) / nearest)
    return np.concatenate(shares)
