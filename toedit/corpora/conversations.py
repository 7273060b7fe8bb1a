"""Records for supervised fine-tuning as documents: the prompt is context, responses may change.

The text of a record is its messages in order, without roles and markers, which therefore nothing
can touch. Only the spans of responses are editable; afterwards they go back where they came from.
"""

from __future__ import annotations

from typing import Any

from toedit.document import Document
from toedit.errors import UserError

SEPARATOR = "\n\n"
RESPONDER = "assistant"


def joined(parts: list[tuple[str, bool]]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """One text of several parts, and the spans of those that may change.

    Args:
        parts: text of each, and whether it may change.
    """
    text, spans = "", []
    for number, (part, editable) in enumerate(parts):
        text += SEPARATOR if number else ""
        if editable:
            spans.append((len(text), len(text) + len(part)))
        text += part
    return text, tuple(spans)


def message_parts(messages: Any, where: str) -> list[tuple[str, bool]]:
    """The contents of ``[{"role": ..., "content": ...}, ...]`` and which are responses.

    Raises:
        UserError: it is no such list.
    """
    try:
        parts = [(message["content"], message["role"] == RESPONDER) for message in messages]
        if all(isinstance(content, str) for content, _ in parts):
            return parts
    except (TypeError, KeyError):
        pass
    raise UserError(f"{where}: messages must be a list of {{role, content}} with texts as content")


def responses(document: Document) -> list[str]:
    """The texts of a document's editable spans, in order."""
    return [document.text[start:end] for start, end in document.editable or ()]


def with_responses(messages: list[dict[str, Any]], texts: list[str]) -> list[dict[str, Any]]:
    """Messages whose responses are replaced by ``texts``, in order; all else as it was."""
    fresh = iter(texts)
    return [
        {**message, "content": next(fresh)} if message["role"] == RESPONDER else message
        for message in messages
    ]
