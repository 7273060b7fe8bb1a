"""Tokenize conversations with a chat template that marks which tokens are learned.

A template marks the responses, each with the token that ends its turn, by ``{% generation %}``.
Templates of common models lack these marks, so ``templates/`` has some that set them.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from experiments import stage
from experiments.config import ModelConfig
from experiments.config.training import OWN
from toedit.corpora.conversations import CALLS, TOOL, messages_of, spoken
from toedit.corpora.packing import Example
from toedit.document import Document
from toedit.errors import UserError, require_choice

TEMPLATES = {path.stem: path for path in stage.TEMPLATES.glob("*.jinja")}


def chat_template(config: ModelConfig, tokenizer: Any) -> str:
    """The chat template that a model is trained with.

    Raises:
        UserError: there is none, or it does not mark responses.
    """
    choices = [*sorted(TEMPLATES), OWN]
    listed = ", ".join(choices)
    if config.template != OWN:
        require_choice("model.template", str(config.template), choices)
        return TEMPLATES[str(config.template)].read_text()
    template = tokenizer.chat_template
    if not template:
        raise UserError(f"the model {config.model!r} has no chat template: model.template={listed}")
    if "{% generation" not in template and "{%- generation" not in template:
        raise UserError(
            f"the chat template of the model {config.model!r} does not mark responses by "
            f"{{% generation %}}: set model.template, one of {listed}"
        )
    return template


def examples(documents: Iterable[Document], tokenizer: Any, template: str) -> Iterator[Example]:
    """Tokenize the conversations of documents.

    Raises:
        UserError: a document is no conversation, or :func:`encode` refuses it.
    """
    for document in documents:
        messages = messages_of(document)
        if messages is None:
            raise UserError(
                f"document {document.id!r} is no conversation, and model.template asks for them: "
                "set corpus.messages_column or corpus.prompt_column, or model.template=null"
            )
        tools = _parsed(document.metadata.get("tools"))
        yield encode(messages, tokenizer, template, document.id, tools)


def encode(
    messages: list[dict[str, Any]], tokenizer: Any, template: str, name: str, tools: Any = None
) -> Example:
    """Tokenize one conversation.

    Args:
        messages: roles and contents, and tool calls.
        tokenizer: a tokenizer of transformers.
        template: a chat template that marks responses.
        name: of the record.
        tools: definitions of the tools, for conversations that use some.

    Returns:
        Its tokens, and which are learned: those of responses, and the one that ends each.

    Raises:
        UserError: a content holds a control token, which would pass for the template's, or the
            template refuses the roles or marks nothing.
    """
    from jinja2 import TemplateError

    uses_tools = any(m["role"] == TOOL or set(CALLS) & m.keys() for m in messages)
    try:
        messages = [_for_template(message, template) for message in messages]
    except TypeError as error:
        raise UserError(f"record {name!r}: {error}") from error
    controls = [t.content for t in tokenizer.added_tokens_decoder.values() if t.special]
    for message in messages:
        for token in controls:
            if token in message["content"] or token in str(message.get("tool_calls")):
                raise UserError(
                    f"record {name!r}: the message of role {message['role']!r} holds the control "
                    f"token {token!r}, which would end it; remove it from the text"
                )
    try:
        encoded = tokenizer.apply_chat_template(
            messages, chat_template=template, return_dict=True, return_assistant_tokens_mask=True,
            **({"tools": tools} if tools and uses_tools else {}),
        )  # fmt: skip
    except (TemplateError, TypeError, ValueError) as error:
        raise UserError(f"record {name!r}: the chat template refuses it: {error}") from error
    ids = np.array(encoded["input_ids"], np.int32)
    learned = np.array(encoded["assistant_masks"], bool)
    if not learned.any():
        raise UserError(f"record {name!r}: the chat template marks none of it as a response")
    return Example(name, ids, learned)


def _for_template(message: dict[str, Any], template: str) -> dict[str, Any]:
    """A message as chat templates expect it: a text as content, arguments of calls as objects.

    A template that does not read tool calls gets them in the content, as ``<tool_call>`` elements.
    """
    if message.keys() == {"role", "content"} and isinstance(message["content"], str):
        return message
    content = "".join(spoken(message["content"]))
    shaped = {k: v for k, v in message.items() if k not in CALLS} | {"content": content}
    found = _parsed(message.get("tool_calls") or [])
    if message.get("function_call"):  # the older form of a single call
        found = [*found, {"type": "function", "function": message["function_call"]}]
    if not isinstance(found, list):
        raise TypeError("tool_calls must be a list")
    calls = [_with_objects(call) for call in found]
    if calls and "tool_calls" in template:
        shaped["tool_calls"] = calls
    elif calls:
        texts = [json.dumps(call.get("function", call), ensure_ascii=False) for call in calls]
        elements = [f"<tool_call>\n{text}\n</tool_call>" for text in texts]
        shaped["content"] = "\n".join([*([content] if content else []), *elements])
    return shaped


def _with_objects(call: Any) -> dict[str, Any]:
    """A tool call whose function and arguments are objects, also where they came as JSON texts."""
    call = _parsed(call)
    if not isinstance(call, dict):
        raise TypeError(f"a tool call must be an object, not {type(call).__name__}")
    if call.get("function") is not None:
        return {**call, "function": _with_objects(call["function"])}
    arguments = _parsed(call.get("arguments"))
    return {**call, "arguments": arguments} if isinstance(arguments, dict) else call


def _parsed(value: Any) -> Any:
    """The object of a JSON text; any other value as it is."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value
