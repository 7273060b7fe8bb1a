"""Records for supervised fine-tuning as documents: the prompt is context, responses may change.

The text of a record is the spoken text of its messages in order, without roles and markers, so no
edit can reach these. Only the spans of responses are editable; their edited texts go back into the
messages, whose keys, names of roles, tool calls and images stay as they came.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from toedit.document import Document
from toedit.errors import UserError, require_choice, short

SEPARATOR = "\n\n"
RESPONDER, TOOL = "assistant", "tool"
ROLES = ("system", "user", RESPONDER, TOOL)
ROLE_NAMES = {
    **{role: role for role in ROLES},
    "developer": "system",
    "human": "user",
    "gpt": RESPONDER,
    "function": TOOL,
    "observation": TOOL,
}
"""The role that each name means unless other names are given."""

KEYS = (("role", "content"), ("from", "value"))
"""Keys of a message's role and content: those of chat templates, and of ShareGPT."""

TEXT_PARTS = (None, "text", "input_text", "output_text")
CALLS = ("tool_calls", "function_call")
TEMPLATE_KEYS = {
    RESPONDER: (*CALLS, "reasoning_content", "thinking"),
    TOOL: ("name", "tool_call_id"),
}
"""Further keys of a message that chat templates read, by role."""

WEIGHT = "weight"
"""Key of a response that is 0 if the response is context and not learned (OpenAI's format)."""

MESSAGES = "messages"
"""Metadata key under which a document keeps its messages."""


class NoResponse(UserError):
    """A conversation has no response to learn."""


def roles_by_name(names: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """The role of every name of a role: the usual ones, and ``names`` by their role.

    Raises:
        UserError: a role is none of :data:`ROLES`.
    """
    result = dict(ROLE_NAMES)
    for role, values in names.items():
        require_choice("role of --role-names", role, ROLES)
        result |= dict.fromkeys(values, role)
    return result


def joined(parts: list[tuple[str, bool]]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """Join (text, editable) parts into one text; also return the spans of the editable ones."""
    text, spans = "", []
    for number, (part, editable) in enumerate(parts):
        text += SEPARATOR if number else ""
        if editable:
            spans.append((len(text), len(text) + len(part)))
        text += part
    return text, tuple(spans)


def message_parts(
    messages: Any, where: str, names: Mapping[str, str] = ROLE_NAMES
) -> list[tuple[str, bool]] | None:
    """The texts of messages, and whether each belongs to a response.

    Args:
        messages: a list of ``{"role": ..., "content": ...}`` or ``{"from": ..., "value": ...}``;
            it, or a message, may be a JSON text. A content is a text or a list of parts, of which
            the texts count; that of a response or a tool may be null.
        where: how errors name the record.
        names: role of each name of a role.

    Returns:
        None if another content is null.

    Raises:
        UserError: ``messages`` is no such list.
    """
    parts: list[tuple[str, bool]] = []
    for message in _parsed_all(messages, where):
        name, content = role_and_content(message)
        role = names.get(name)
        if content is None and role not in (RESPONDER, TOOL):
            return None
        parts += [(text, role == RESPONDER) for text in spoken(content)]
    return parts


def turns(messages: Any) -> list[tuple[int, str]]:
    """The character at which each message begins in the joined text, and the name of its role."""
    found, position = [], 0
    for message in _parsed_all(messages, "a conversation"):
        name, content = role_and_content(message)
        if texts := spoken(content):
            found.append((position, name))
            position += sum(len(text) + len(SEPARATOR) for text in texts)
    return found


def role_and_content(message: dict[str, Any]) -> tuple[str, Any]:
    """The name of a message's role, and its content."""
    role, content = _keys(message)
    return message[role], message.get(content)


def roles_of(messages: Any) -> set[str]:
    """The names of roles in messages of a record, which may be null."""
    return {role_and_content(_parsed(message))[0] for message in _parsed(messages) or ()}


def spoken(content: Any) -> list[str]:
    """The texts of a content: itself, or those among its parts."""
    if isinstance(content, str):
        return [content]
    return [text for text in map(_text_of_part, content or ()) if text is not None]


def _text_of_part(part: Any) -> str | None:
    if isinstance(part, dict) and part.get("type") in TEXT_PARTS:
        part = part.get("text")
    return part if isinstance(part, str) else None


def _keys(message: dict[str, Any]) -> tuple[str, str]:
    """Keys of a message's role and content."""
    return next(keys for keys in KEYS if isinstance(message.get(keys[0]), str))


def _parsed_all(messages: Any, where: str) -> list[dict[str, Any]]:
    """Messages as dictionaries.

    Raises:
        UserError: they are no list of messages.
    """
    try:
        parsed = [_parsed(message) for message in _parsed(messages)]
        for message in parsed:
            key = _keys(message)[1]
            is_call = any(message.get(name) for name in CALLS)
            if not isinstance(message[key] if not is_call else message.get(key), str | list | None):
                raise TypeError
        return parsed
    except (TypeError, KeyError, ValueError, AttributeError, StopIteration,
            RecursionError) as error:  # fmt: skip
        raise UserError(
            f"{where}: messages must be a list of {{role, content}} or {{from, value}} with texts "
            "or lists of parts as content"
        ) from error


def _parsed(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return json.loads(value, object_pairs_hook=unique_keys)


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; raises a ValueError if a key would hide another value."""
    record = dict(pairs)
    if len(record) < len(pairs):
        for name, value in pairs:
            if value != record[name]:
                raise ValueError(f"the key {name!r} has two values; remove one")
    return record


def responses(document: Document) -> list[str]:
    """The texts of a document's editable spans, in order."""
    return [document.text[start:end] for start, end in document.editable or ()]


def with_responses(
    messages: Any, texts: Sequence[str], names: Mapping[str, str] = ROLE_NAMES
) -> Any:
    """Copy messages with the texts of the responses replaced by ``texts``, in order.

    JSON texts stay JSON texts, and the same ones where nothing changes.
    """
    if not texts:
        return messages
    remaining, parsed = iter(texts), _parsed(messages)
    return _like(messages, parsed, [_with_texts(message, remaining, names) for message in parsed])


def _with_texts(message: Any, texts: Iterator[str], names: Mapping[str, str]) -> Any:
    parsed = _parsed(message)
    role, key = _keys(parsed)
    content = parsed.get(key)
    if names.get(parsed[role]) != RESPONDER or content is None:
        return message
    if isinstance(content, str):
        edited: Any = next(texts)
    else:
        edited = [_with_text(part, texts) for part in content]
    return _like(message, parsed, {**parsed, key: edited})


def _with_text(part: Any, texts: Iterator[str]) -> Any:
    if _text_of_part(part) is None:
        return part
    return {**part, "text": next(texts)} if isinstance(part, dict) else next(texts)


def _like(source: Any, parsed: Any, edited: Any) -> Any:
    """Edited values as JSON text if their source, of which ``parsed`` is the value, is one."""
    if not isinstance(source, str):
        return edited
    return source if edited == parsed else json.dumps(edited, ensure_ascii=False)


def as_conversation(
    document: Document, messages: Any, where: str, names: Mapping[str, str] = ROLE_NAMES
) -> Document:
    """Replace a document's text by that of messages (:func:`message_parts`).

    The metadata keeps them as ``[{"role": ..., "content": ...}, ...]`` of :data:`ROLES`, with the
    tool calls and reasoning that chat templates read, and a :data:`WEIGHT` of 0.

    Raises:
        NoResponse: they have neither a response to learn that is not empty nor a tool call, or a
            prompt is null.
        UserError: they are no list of messages, or have an unknown role.
    """
    plain = []
    for message in _parsed_all(messages, where):
        name, content = role_and_content(message)
        if name not in names:
            raise UserError(
                f"{where}: unknown role {name!r}; allowed: {', '.join(names)}, and those "
                f"that are added, as in corpus.role_names.{RESPONDER}=[{name}]"
            )
        role = names[name]
        more = {key: message[key] for key in TEMPLATE_KEYS.get(role, ()) if message.get(key)}
        if role == RESPONDER and message.get(WEIGHT) == 0:
            more[WEIGHT] = 0
        plain.append({"role": role, "content": content, **more})
    parts = message_parts(plain, where)
    if parts is None:
        raise NoResponse(f"{where}: messages must have texts as content; one of them is null")
    learned = [message for message in plain if WEIGHT not in message]
    texts = message_parts(learned, where) or ()
    if not any(is_response and text.strip() for text, is_response in texts) and not any(
        message.get(key) for message in learned for key in CALLS
    ):
        raise NoResponse(
            f"{where} holds no response: a message of role {RESPONDER!r} that is not empty"
        )
    text, editable = joined(parts)
    return Document(document.id, text, {**document.metadata, MESSAGES: plain}, editable)


def render(
    messages: list[dict[str, Any]],
    tokenizer: Any,
    template: str | None = None,
    prompt: bool = False,
    tools: list[Any] | None = None,
) -> tuple[str, list[tuple[int, int]]]:
    """Write messages as text by a chat template.

    Args:
        messages: roles and contents.
        tokenizer: a tokenizer of transformers, whose special tokens the template may name.
        template: a template that marks responses; None for the tokenizer's own.
        prompt: also write what begins a response.
        tools: definitions of the tools that the messages use.

    Returns:
        The text, and the character spans that the template marks as responses.

    Raises:
        UserError: the template fails.
    """
    from transformers.utils.chat_template_utils import render_jinja_template

    try:
        rendered: Any = render_jinja_template(
            conversations=[messages],
            tools=tools,
            chat_template=tokenizer.get_chat_template(template, tools),
            return_assistant_tokens_mask=template is not None,
            add_generation_prompt=prompt,
            **tokenizer.special_tokens_map,
        )
    except Exception as error:  # a template is a program, which may fail in any way
        raise UserError(f"the chat template refuses it: {short(error)}") from error
    texts, spans = rendered
    return texts[0], spans[0] if spans else []


def messages_of(document: Document) -> list[dict[str, Any]] | None:
    """The messages of a document of :func:`as_conversation`, with its current responses; None of
    any other document."""
    messages = document.metadata.get(MESSAGES)
    if messages is None or document.editable is None:
        return None
    edited: list[dict[str, Any]] = with_responses(messages, responses(document))
    return edited
