"""Conversations as tokens: a model's chat template, and which of the tokens are learned.

A template marks what is learned, the responses with the token that ends a turn, by ``{% generation
%}``. Those of common models lack the marks, so some are kept here with them (``templates/``).
"""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from experiments import stage
from experiments.config import ModelConfig
from experiments.config.training import OWN
from toedit.corpora.conversations import messages_of
from toedit.corpora.packing import Example
from toedit.document import Document
from toedit.errors import UserError, require_choice

TEMPLATES = {path.stem: path for path in stage.TEMPLATES.glob("*.jinja")}
MARK = "{%- generation", "{% generation"


def chat_template(config: ModelConfig, tokenizer: Any) -> str:
    """The chat template that a model is trained with.

    Raises:
        UserError: there is none, or it does not mark responses.
    """
    listed = ", ".join([*sorted(TEMPLATES), OWN])
    if config.template != OWN:
        require_choice("model.template", str(config.template), [*sorted(TEMPLATES), OWN])
        return TEMPLATES[str(config.template)].read_text()
    template = tokenizer.chat_template
    if not template:
        raise UserError(f"the model {config.model!r} has no chat template: model.template={listed}")
    if not any(mark in template for mark in MARK):
        raise UserError(
            f"the chat template of the model {config.model!r} does not mark responses by "
            f"{{% generation %}}: set model.template, one of {listed}"
        )
    return template


def examples(documents: Iterable[Document], tokenizer: Any, template: str) -> Iterator[Example]:
    """The conversations of documents as tokens.

    Raises:
        UserError: a document is no conversation, a message holds a control token, or the template
            marks nothing of it.
    """
    for document in documents:
        messages = messages_of(document)
        if messages is None:
            raise UserError(
                f"document {document.id!r} is no conversation, and model.template asks for them: "
                "set corpus.messages_column or corpus.prompt_column, or model.template=null"
            )
        yield encode(messages, tokenizer, template, document.id)


def encode(messages: list[dict[str, str]], tokenizer: Any, template: str, name: str) -> Example:
    """One conversation as tokens.

    Args:
        messages: roles and contents.
        tokenizer: a tokenizer of transformers.
        template: a chat template that marks responses.
        name: of the record.

    Returns:
        Its tokens, and which are learned: those of responses, and the one that ends each.

    Raises:
        UserError: a content holds a control token, which would pass for the template's own, or the
            template refuses the roles or marks nothing.
    """
    from jinja2 import TemplateError

    controls = [t.content for t in tokenizer.added_tokens_decoder.values() if t.special]
    for message in messages:
        for token in controls:
            if token in message["content"]:
                raise UserError(
                    f"record {name!r}: the message of role {message['role']!r} holds the control "
                    f"token {token!r}, which would end it; remove it from the text"
                )
    try:
        found = tokenizer.apply_chat_template(
            messages, chat_template=template, return_dict=True, return_assistant_tokens_mask=True
        )
    except TemplateError as error:
        raise UserError(f"record {name!r}: the chat template refuses it: {error}") from error
    ids, learned = np.array(found["input_ids"], np.int32), np.array(found["assistant_masks"], bool)
    if not learned.any():
        raise UserError(f"record {name!r}: the chat template marks none of it as a response")
    return Example(name, ids, learned)
