"""Records for supervised fine-tuning as documents: the prompt is context, responses may change.

The text of a record is its messages in order, without roles and markers, which therefore nothing
can touch. Only the spans of responses are editable; afterwards they go back where they came from.
"""

from typing import Any

from toedit.document import Document
from toedit.errors import UserError

SEPARATOR = "\n\n"
RESPONDER = "assistant"
ROLES = ("system", "user", RESPONDER)
MESSAGES = "messages"
"""Where a document keeps the messages it was made from."""


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


def as_conversation(document: Document, messages: Any, where: str) -> Document:
    """The document whose text is that of messages, which it keeps.

    Args:
        document: id and metadata.
        messages: ``[{"role": ..., "content": ...}, ...]``.
        where: names the record in errors.

    Raises:
        UserError: it is no such list, a role is unknown, or no response stands in it.
    """
    parts = message_parts(messages, where)
    for message in messages:
        if message["role"] not in ROLES:
            raise UserError(
                f"{where}: unknown role {message['role']!r}; allowed: {', '.join(ROLES)}"
            )
    if not any(answer and content.strip() for content, answer in parts):
        raise UserError(
            f"{where} holds no response: a message of role {RESPONDER!r} that is not empty"
        )
    text, editable = joined(parts)
    kept = [{"role": m["role"], "content": m["content"]} for m in messages]
    return Document(document.id, text, {**document.metadata, MESSAGES: kept}, editable)


def messages_of(document: Document) -> list[dict[str, str]] | None:
    """The messages of a document of :func:`as_conversation`, with its responses as they are now;
    None of a document that is no conversation."""
    messages = document.metadata.get(MESSAGES)
    if messages is None or document.editable is None:
        return None
    return with_responses(messages, responses(document))
