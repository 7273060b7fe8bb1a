"""What a document carries from step to step in its metadata, and how shards are named."""

SCORES = "toedit_scores"
"""The prior's scores of the text, or None where scoring failed."""

EDITED = "toedit_edited"
"""What editing made of it, with its source."""

TOKENS = "toedit_tokens"
"""Tokens of the text."""

SHARDS = "shards"
CHANGED = "changes"


def shard_name(rank: int) -> str:
    """File name of a unit's shard."""
    return f"{rank:05d}.parquet"


def use_threads(number: int) -> None:
    """Gives torch so many threads in this process; 0 leaves them alone."""
    if number:
        import torch

        torch.set_num_threads(number)
