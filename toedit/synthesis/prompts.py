"""Prompts for synthetic text, made from extracts of human text."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from toedit.corpora.split import shuffled
from toedit.document import Document
from toedit.errors import UserError
from toedit.synthesis.settings import Synthesis

WRITE = (
    'Here is an extract from a document:\n\n"{extract}"\n\nWrite {format} for {audience} on a '
    "topic related to this extract. Do not copy the extract, and do not mention it. Write only the "
    "text."
)
REPHRASE = (
    "Rewrite the following text in clear, high-quality English, as in an encyclopedia. Keep its "
    "meaning. Write only the new text.\n\n{extract}"
)


@dataclass(frozen=True)
class Request:
    """Request for one synthetic text.

    Attributes:
        id: id of the text, which keys its random numbers.
        prompt: the prompt, without chat template.
        seed: id of the human document that the prompt quotes.
        format: format of the text; the mode if it has only one.
        audience: audience of the text; empty if it has none.
    """

    id: str
    prompt: str
    seed: str
    format: str
    audience: str = ""


def requests(
    documents: Sequence[Document], settings: Synthesis, seed: int = 0, generation: int = 0
) -> Iterator[Request]:
    """Make requests, each from another human document, cyclically in random order.

    Args:
        documents: human text to quote: training text only.
        settings: number and kind of texts.
        seed: keys the choice of documents, formats and audiences.
        generation: of the model.

    Raises:
        UserError: there is no document to quote.
    """
    if not documents:
        raise UserError("there is no human text to write after")
    order = shuffled([f"{seed}\x1f{generation}\x1f{d.id}" for d in documents])
    for number in range(settings.documents):
        document = documents[order[number % len(order)]]
        name = f"{settings.mode}-{generation}-{seed}-{number:06d}"
        extract = _extract(document.text, settings.extract)
        if settings.mode == "continue":
            yield Request(name, extract, document.id, "continued")
        elif settings.mode == "rephrase":
            yield Request(name, REPHRASE.format(extract=extract), document.id, "rephrased")
        else:
            form = _pick(settings.formats, f"format {name}")
            audience = _pick(settings.audiences, f"audience {name}")
            prompt = WRITE.format(extract=extract, format=form, audience=audience)
            yield Request(name, prompt, document.id, form, audience)


def _extract(text: str, characters: int) -> str:
    """Cut the beginning of a text, at a space if there is one."""
    if len(text) <= characters:
        return text
    start = text[:characters]
    return start.rpartition(" ")[0] or start


def _pick(choices: Sequence[str], key: str) -> str:
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return choices[int.from_bytes(digest) % len(choices)]
