"""Metadata keys that steps set on documents, file names of an output, and threads."""

SCORES = "toedit_scores"
"""The prior's scores of the text, or None if scoring failed."""

EDITED = "toedit_edited"
"""The :class:`~toedit.editor.EditedDocument`, with the source."""

TOKENS = "toedit_tokens"
"""Token ids of the text."""

CHANGED = "changes"


def shard_name(rank: int) -> str:
    """Return the file name of a unit's shard."""
    return f"{rank:05d}.parquet"


def use_threads(number: int) -> None:
    """Set the number of torch threads in this process; 0 keeps torch's default."""
    if number:
        import torch

        torch.set_num_threads(number)
