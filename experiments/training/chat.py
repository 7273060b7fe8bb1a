"""Tokenize conversations with a chat template that marks which tokens are learned.

A template marks the responses, each with the token that ends its turn, by ``{% generation %}``.
Templates of common models lack these marks, so ``templates/`` has some that set them.
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
        yield encode(messages, tokenizer, template, document.id)


def encode(messages: list[dict[str, str]], tokenizer: Any, template: str, name: str) -> Example:
    """Tokenize one conversation.

    Args:
        messages: roles and contents.
        tokenizer: a tokenizer of transformers.
        template: a chat template that marks responses.
        name: of the record.

    Returns:
        Its tokens, and which are learned: those of responses, and the one that ends each.

    Raises:
        UserError: a content holds a control token, which would pass for the template's, or the
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
        encoded = tokenizer.apply_chat_template(
            messages, chat_template=template, return_dict=True, return_assistant_tokens_mask=True
        )
    except TemplateError as error:
        raise UserError(f"record {name!r}: the chat template refuses it: {error}") from error
    ids = np.array(encoded["input_ids"], np.int32)
    learned = np.array(encoded["assistant_masks"], bool)
    if not learned.any():
        raise UserError(f"record {name!r}: the chat template marks none of it as a response")
    return Example(name, ids, learned)
