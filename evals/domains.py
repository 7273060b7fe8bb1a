"""Human text by domain, from the embedded data: passages that benchmarks quote, each once.

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
from typing import Any

from evals.items import request_documents, sciriff_contexts
from toedit.corpora.sources import drop_repeated_lines
from toedit.document import Document
from toedit.errors import require_choice


@dataclass
class Passage:
    """A human text.

    Attributes:
        id: names it.
        text: the text.
        items: (data set, item) pairs that quote it, by which other data may refer to it.
        article: title of the article it is from, where several passages may be.
    """

    id: str
    text: str
    items: list[tuple[str, str]] = field(default_factory=list)
    article: str | None = None


PAPER_CHARACTERS = 4000
"""Whole paragraphs of a paper are taken until it has so many characters, so that a few long papers
do not make up all of the domain."""


def passages(domain: str) -> list[Passage]:
    """All passages of a domain, each text once, in the order of the data.

    Raises:
        UserError: no such domain.
    """
    require_choice("domain", domain, DOMAINS)
    found: dict[str, Passage] = {}
    for source, item, text, *article in DOMAINS[domain]():
        text = text.strip()
        if not text:
            continue
        key = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        passage = found.setdefault(key, Passage(f"{domain}-{key}", text))
        passage.article = passage.article or next(iter(article), None)
        passage.items.append((source, item))
    return list(found.values())


Quoted = Iterator[tuple[str, ...]]
"""(data set, item, text), and the title of the article where it is known."""


def _biomedical() -> Quoted:
    for item in sciriff_contexts("bioasq"):
        for document in drop_repeated_lines([Document(item["id"], item["context"])]):
            yield "pubmed", item["id"], document.text


def _papers() -> Quoted:
    for item in request_documents("qasper_yesno", "rc_5shot"):
        # What is shorter is a heading, or left of a formula.
        paragraphs = [
            text for part in item["full_text"]["paragraphs"] for text in part if len(text) > 40
        ]
        beginning = [item["abstract"]]
        while paragraphs and sum(map(len, beginning)) < PAPER_CHARACTERS:
            beginning.append(paragraphs.pop(0))
        yield "qasper", item["id"], "\n\n".join(beginning)


def _wikipedia() -> Quoted:
    for item in request_documents("squad", "bpb_5shot"):
        text = _between(item["query"], "Background: ", "\nQuestion:")
        yield "squad", item["id"], text, item["title"]
    for item in request_documents("drop", "bpb_5shot"):
        yield "drop", item["query_id"], item["passage"]
    yield from _stories("wikipedia")()


def _fiction() -> Quoted:
    for item in request_documents("lambada", "bpb_0shot"):
        yield "lambada", str(item["id"]), f"{item['query']} {item['answers_text'][0]}"
    yield from _stories("gutenberg")()


def _stories(source: str) -> Callable[[], Quoted]:
    def stories() -> Quoted:
        for item in request_documents("coqa", "bpb_0shot"):
            if item["source"] == source:
                yield f"coqa-{source}", item["id"], item["story"]

    return stories


def _between(text: str, start: str, end: str) -> str:
    return text.partition(start)[2].rpartition(end)[0] or text.partition(start)[2]


DOMAINS: dict[str, Callable[[], Any]] = {
    "biomedical": _biomedical,
    "papers": _papers,
    "wikipedia": _wikipedia,
    "fiction": _fiction,
    "news": _stories("cnn"),
    "exams": _stories("race"),
    "children": _stories("mctest"),
}
"""Readers by domain."""
