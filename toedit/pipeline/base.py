"""Metadata keys that steps set on documents, file names of an output, and threads.

The keys are no texts, so that no column of a corpus has the same.
"""

from typing import Any

from datatrove.pipeline.base import PipelineStep

SCORES: Any = ("toedit", "scores")
"""The prior's scores of the text, or None if scoring failed."""

EDITED: Any = ("toedit", "edited")
"""The :class:`~toedit.editor.EditedDocument`, with the source."""

TOKENS: Any = ("toedit", "tokens")
"""Token ids of the text."""

CHANGED = "changes"
CANDIDATES = "candidates"


class FolderStep(PipelineStep):
    """Base of steps whose one argument is the folder that they read or write."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder


def shard_name(rank: int) -> str:
    """Return the file name of a unit's shard."""
    return f"{rank:05d}.parquet"


def use_threads(number: int) -> None:
    """Set the number of torch threads in this process; 0 keeps torch's default."""
    if number:
        import torch

        torch.set_num_threads(number)
