"""Tokenize conversations with a chat template that marks which tokens are learned.

A template marks the responses, each with the token that ends its turn, by ``{% generation %}``.
Templates of common models lack these marks, so ``templates/`` has some that set them. A token is
learned if it holds a character of a response, also one that the tokenizer merges with text around.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress
from typing import Any

import numpy as np

from experiments import stage
from experiments.config import ModelConfig
from experiments.config.training import OWN
from experiments.training.tool_calls import for_template, parsed, uses_tools
from toedit.corpora.conversations import RESPONDER, WEIGHT, messages_of, render
from toedit.corpora.packing import Example
from toedit.document import Document
from toedit.errors import UserError, require_choice
from toedit.offsets import exact_offsets

TEMPLATES = {path.stem: path for path in stage.TEMPLATES.glob("*.jinja")}

QUESTIONS, ANSWERS = ("Is it raining?", "Sure?"), ("No.", "Quite sure.")
PROBE = [
    {"role": role, "content": content}
    for turn in zip(QUESTIONS, ANSWERS, strict=True)
    for role, content in zip(("user", "assistant"), turn, strict=True)
]
"""Messages by which a template is checked."""


def chat_template(config: ModelConfig, tokenizer: Any) -> str:
    """The chat template that a model is trained with.

    Raises:
        UserError: there is none, or it does not mark responses, each with the token that ends it.
    """
    choices = [*sorted(TEMPLATES), OWN]
    listed = ", ".join(choices)
    if config.template != OWN:
        require_choice("model.template", str(config.template), choices)
        return TEMPLATES[str(config.template)].read_text()
    template = tokenizer.chat_template
    if isinstance(template, dict):  # several by name
        template = template.get("default")
    if not template:
        raise UserError(f"the model {config.model!r} has no chat template: model.template={listed}")
    where = f"the chat template of the model {config.model!r}"
    advice = f"correct it or set model.template, one of {listed}"
    if not isinstance(template, str) or not re.search(r"\{%[-+]?\s*generation\b", template):
        raise UserError(f"{where} does not mark responses by {{% generation %}}: {advice}")
    problem = _wrong_marks(template, tokenizer)
    if problem:
        raise UserError(f"{where} {problem}: {advice}")
    return template


def _wrong_marks(template: str, tokenizer: Any) -> str | None:
    """What a template marks in error, by its text of :data:`PROBE`; None if it marks responses.

    A mark inside a macro is one example: the library places it before the text of the macro.
    """
    from jinja2 import TemplateSyntaxError

    try:
        text, spans = render(PROBE, tokenizer, template)
    except UserError as error:
        # It may still take the messages of the records, which other errors are left to.
        syntax = isinstance(error.__cause__, TemplateSyntaxError)
        return f"is broken ({error.__cause__})" if syntax else None
    added = [t.content for t in tokenizer.added_tokens_decoder.values() if t.content.strip()]
    marked = [text[start:end] for start, end in spans]
    for question in QUESTIONS:
        if any(question in part for part in marked):
            return f"marks {question!r} of the user as a response"
    if not any(ANSWERS[-1] in part for part in marked):
        return f"marks {marked} as responses, not {ANSWERS[-1]!r}"
    for (_, end), part in zip(spans, marked, strict=True):
        after = [token for token in added if text.startswith(token, end)]
        if after and part.rstrip().endswith(ANSWERS):
            return f"marks responses without the token that ends them, {after[0]!r}"
    return None


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
        tools = parsed(document.metadata.get("tools"))
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
        UserError: a content holds a control token, which would pass for the template's, the
            template fails or marks nothing, or the tokenizer leaves out the end of a response.
    """
    tools = tools if tools and uses_tools(messages) else None
    try:
        messages = [for_template(message, template) for message in messages]
    except TypeError as error:
        raise UserError(f"record {name!r}: {error}") from error
    added = tokenizer.added_tokens_decoder
    controls = [token.content for token in added.values() if token.special]
    for message in messages:
        for token in controls:
            if token in message["content"] or token in str(message):
                raise UserError(
                    f"record {name!r}: the message of role {message['role']!r} holds the control "
                    f"token {token!r}, which would end it; remove it from the text"
                )
    try:
        text, spans = render(messages, tokenizer, template, tools=tools)
        spans = _without_context(spans, messages)
        encoded = exact_offsets(tokenizer)(
            text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
        swallowing = {index for index, token in added.items() if token.lstrip or token.rstrip}
        if swallowing.intersection(ids):
            offsets = [
                _stripped(text, *span) if index in swallowing else span
                for index, span in zip(ids, offsets, strict=True)
            ]
        learned = responses_of(text, offsets, spans)
    except UserError as error:
        raise UserError(f"record {name!r}: {error}") from error
    if not learned.any():
        raise UserError(f"record {name!r}: the chat template marks none of it as a response")
    return Example(name, np.array(ids, np.int32), learned)


def _without_context(
    spans: list[tuple[int, int]], messages: list[dict[str, Any]]
) -> list[tuple[int, int]]:
    """The spans of responses without those of weight 0.

    Raises:
        UserError: there are some, and the template does not mark each response as one span.
    """
    learned = [WEIGHT not in message for message in messages if message["role"] == RESPONDER]
    if all(learned):
        return spans
    if len(spans) != len(learned):
        raise UserError(
            f"the chat template marks {len(spans)} parts of {len(learned)} responses, so those of "
            "weight 0 cannot be told from others"
        )
    return list(compress(spans, learned))


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    """Offsets of a token without the spaces around it, which ``lstrip`` and ``rstrip`` add."""
    start += len(text[start:end]) - len(text[start:end].lstrip())
    return start, start + len(text[start:end].rstrip())


def responses_of(
    text: str, offsets: Sequence[tuple[int, int]], spans: Sequence[tuple[int, int]]
) -> np.ndarray:
    """Mark the tokens that hold a character of one of the spans of a text, bool ``[n]``.

    Args:
        text: the text.
        offsets: exact character offsets of its tokens.
        spans: character spans of responses.

    Raises:
        UserError: no token holds the end of a span.
    """
    starts, ends = np.array(offsets, np.int64).reshape(-1, 2).T
    marked = np.zeros(len(starts), bool)
    for start, end in spans:
        held = np.flatnonzero(np.maximum(starts, start) < np.minimum(ends, end))
        last = start
        if len(held):
            marked[held[0] : held[-1] + 1] = True
            last = ends[held].max()
        if text[last:end].strip():  # some tokenizers leave out spaces
            raise UserError(
                f"the tokenizer has no token for {text[last:end]!r}, which ends a response"
            )
    return marked
