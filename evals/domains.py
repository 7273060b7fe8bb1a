"""Human text by domain from the embedded data: passages of benchmarks, each once.

| domain | what it is |
|---|---|
| biomedical | evidence snippets from PubMed (BioASQ), without lines that a document repeats |
| papers | the beginnings of papers on natural language processing (QASPER) |
| wikipedia | passages of SQuAD, DROP and CoQA |
| fiction | passages of books (LAMBADA) and of Project Gutenberg (CoQA) |
| news | CNN articles (CoQA) |
| exams | reading comprehension of English exams (CoQA, RACE) |
| children | stories written for children (CoQA, MCTest) |
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from evals.items import request_documents, sciriff_contexts
from toedit.corpora.sources import drop_repeated_lines
from toedit.document import Document
from toedit.errors import require_choice


@dataclass
class Passage:
    """A human text.

    Attributes:
        id: id of the passage.
        text: the text.
        items: (data set, item) pairs that quote it, by which other data may refer to it.
        article: title of its article, if known.
    """

    id: str
    text: str
    items: list[tuple[str, str]] = field(default_factory=list)
    article: str | None = None


PAPER_CHARACTERS = 4000
"""Characters after which no more paragraphs of a paper are used, so that a few long papers do not
dominate the domain."""


def passages(domain: str) -> list[Passage]:
    """Read all passages of a domain, each text once, in the order of the data.

    Raises:
        UserError: there is no such domain.
    """
    require_choice("domain", domain, DOMAINS)
    by_hash: dict[str, Passage] = {}
    for source, item, text, *article in DOMAINS[domain]():
        text = text.strip()
        if not text:
            continue
        key = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        passage = by_hash.setdefault(key, Passage(f"{domain}-{key}", text))
        passage.article = passage.article or next(iter(article), None)
        passage.items.append((source, item))
    return list(by_hash.values())


Quoted = Iterator[tuple[str, ...]]
"""(data set, item, text), and the title of the article if it is known."""


def _biomedical() -> Quoted:
    for item in sciriff_contexts("bioasq"):
        for document in drop_repeated_lines([Document(item["id"], item["context"])]):
            yield "pubmed", item["id"], document.text


def _papers() -> Quoted:
    for item in request_documents("qasper_yesno", "rc_5shot"):
        # Shorter ones are headings and parts of formulas.
        paragraphs = [
            text for part in item["full_text"]["paragraphs"] for text in part if len(text) > 40
        ]
        beginning = [item["abstract"]]
        while paragraphs and sum(map(len, beginning)) < PAPER_CHARACTERS:
            beginning.append(paragraphs.pop(0))
        yield "qasper", item["id"], "\n\n".join(beginning)


def _wikipedia() -> Quoted:
    for item in request_documents("squad", "bpb_5shot"):
        query = item["query"].partition("Background: ")[2]
        yield "squad", item["id"], query.rpartition("\nQuestion:")[0] or query, item["title"]
    for item in request_documents("drop", "bpb_5shot"):
        yield "drop", item["query_id"], item["passage"]
    yield from _stories("wikipedia")


def _fiction() -> Quoted:
    for item in request_documents("lambada", "bpb_0shot"):
        yield "lambada", str(item["id"]), f"{item['query']} {item['answers_text'][0]}"
    yield from _stories("gutenberg")


def _stories(source: str) -> Quoted:
    for item in request_documents("coqa", "bpb_0shot"):
        if item["source"] == source:
            yield f"coqa-{source}", item["id"], item["story"]


DOMAINS: dict[str, Callable[[], Any]] = {
    "biomedical": _biomedical,
    "papers": _papers,
    "wikipedia": _wikipedia,
    "fiction": _fiction,
    "news": partial(_stories, "cnn"),
    "exams": partial(_stories, "race"),
    "children": partial(_stories, "mctest"),
}
"""Functions that read each domain."""
