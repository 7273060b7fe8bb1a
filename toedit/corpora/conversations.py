"""Records for supervised fine-tuning as documents: the prompt is context, responses may change.

The text of a record is its messages in order, without roles and markers, so no edit can reach
these. Only the spans of responses are editable; their edited texts go back into the messages.
"""

from typing import Any

from toedit.document import Document
from toedit.errors import UserError, short

SEPARATOR = "\n\n"
RESPONDER = "assistant"
ROLES = ("system", "user", RESPONDER)
MESSAGES = "messages"
"""Metadata key under which a document keeps its messages."""


def joined(parts: list[tuple[str, bool]]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """Join (text, editable) parts into one text; also return the spans of the editable ones."""
    text, spans = "", []
    for number, (part, editable) in enumerate(parts):
        text += SEPARATOR if number else ""
        if editable:
            spans.append((len(text), len(text) + len(part)))
        text += part
    return text, tuple(spans)


def message_parts(messages: Any, where: str) -> list[tuple[str, bool]]:
    """The contents of ``[{"role": ..., "content": ...}, ...]``, and whether each is a response.

    Raises:
        UserError: ``messages`` is no such list.
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
    """Copy messages with the contents of the responses replaced by ``texts``, in order."""
    remaining = iter(texts)
    return [
        {**message, "content": next(remaining)} if message["role"] == RESPONDER else message
        for message in messages
    ]


def as_conversation(document: Document, messages: Any, where: str) -> Document:
    """Replace a document's text by ``[{"role": ..., "content": ...}, ...]``, kept in its metadata.

    Raises:
        UserError: ``messages`` is no such list, has an unknown role, or no response.
    """
    parts = message_parts(messages, where)
    for message in messages:
        if message["role"] not in ROLES:
            raise UserError(
                f"{where}: unknown role {message['role']!r}; allowed: {', '.join(ROLES)}"
            )
    if not any(is_response and content.strip() for content, is_response in parts):
        raise UserError(
            f"{where} holds no response: a message of role {RESPONDER!r} that is not empty"
        )
    text, editable = joined(parts)
    plain = [{"role": m["role"], "content": m["content"]} for m in messages]
    return Document(document.id, text, {**document.metadata, MESSAGES: plain}, editable)


def render(
    messages: list[dict[str, str]],
    tokenizer: Any,
    template: str | None = None,
    prompt: bool = False,
) -> tuple[str, list[tuple[int, int]]]:
    """Write messages as text by a chat template.

    Args:
        messages: roles and contents.
        tokenizer: a tokenizer of transformers, whose special tokens the template may name.
        template: a template that marks responses; None for the tokenizer's own.
        prompt: also write what begins a response.

    Returns:
        The text, and the character spans that the template marks as responses.

    Raises:
        UserError: the template fails.
    """
    from transformers.utils.chat_template_utils import render_jinja_template

    try:
        rendered: Any = render_jinja_template(
            conversations=[messages],
            chat_template=tokenizer.get_chat_template(template),
            return_assistant_tokens_mask=template is not None,
            add_generation_prompt=prompt,
            **tokenizer.special_tokens_map,
        )
    except Exception as error:  # a template is a program, which may fail in any way
        raise UserError(f"the chat template refuses it: {short(error)}") from error
    texts, spans = rendered
    return texts[0], spans[0] if spans else []


def messages_of(document: Document) -> list[dict[str, str]] | None:
    """The messages of a document of :func:`as_conversation`, with its current responses; None of
    any other document."""
    messages = document.metadata.get(MESSAGES)
    if messages is None or document.editable is None:
        return None
    return with_responses(messages, responses(document))
