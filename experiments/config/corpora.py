"""Types of the texts that are edited, and of those that stand beside them."""

import re
from dataclasses import dataclass, field

from experiments.config.checks import positive, runtime
from toedit.errors import UserError, require_choice

EMBEDDED_SOURCES = ("bioasq", "mathematics", "questions", "explanations", "instructions", "code")
SOURCES = (*EMBEDDED_SOURCES, "local", "hub")
CONVERSATIONS = EMBEDDED_SOURCES[2:]
"""Embedded sources that hold conversations."""


@dataclass
class CorpusConfig:
    """Which text is used and how it is split.

    Attributes:
        source: embedded text (``bioasq``, ``mathematics``) or conversations (``questions``,
            ``explanations``, ``instructions``, ``code``), ``local`` files, or ``hub``.
        paths: files or folders of ``local``; identified by their content.
        hub: data set of ``hub``, or a folder that ``datasets`` reads.
        subset: configuration of the data set.
        files: pattern of files inside the data set, for one that has no loader; null for all.
        split: its split.
        revision: its commit.
        text_column: column that holds the text.
        id_column: column that holds the id; where absent, ids are file name and row.
        messages_column: column of chat messages, instead of a text; only responses are edited.
        prompt_column: column of prompts, with ``text_column`` as the response.
        system_column: column of what stands before a prompt: a task's definition, a system prompt.
        heldout_share: share of connected groups of documents held out, between 0 and 1.
        read_characters: characters of the source that are looked at, in its order; null for all.
        train_characters: characters of training text kept, in a fixed order; null for all.
        heldout_characters: the same for held-out text.
        decontaminate: embedded benchmark tasks whose items must not occur in the text, besides
            those that the experiment evaluates.
        remove_overlap: documents that share 13 words in a row with an evaluated item are left out;
            otherwise they are only counted.
    """

    source: str = "bioasq"
    paths: list[str] = field(default_factory=list, metadata={"identity": "content"})
    hub: str | None = None
    subset: str | None = None
    files: str | None = None
    split: str = "train"
    revision: str | None = None
    text_column: str = "text"
    id_column: str = "id"
    messages_column: str | None = None
    prompt_column: str | None = None
    system_column: str | None = None
    heldout_share: float = 0.1
    read_characters: int | None = None
    train_characters: int | None = None
    heldout_characters: int | None = None
    decontaminate: list[str] = field(default_factory=list)
    remove_overlap: bool = True

    def __post_init__(self) -> None:
        require_choice("corpus.source", self.source, SOURCES)
        positive("corpus", self, "read_characters", "train_characters", "heldout_characters")
        if not 0 < self.heldout_share < 1:
            raise UserError(f"corpus.heldout_share={self.heldout_share} must lie between 0 and 1")
        if self.source == "local" and not self.paths:
            raise UserError("corpus.source=local needs corpus.paths=[FILE,...]")
        if self.source == "hub" and not self.hub:
            raise UserError("corpus.source=hub needs corpus.hub=DATASET")

        if self.messages_column and self.prompt_column:
            raise UserError("corpus.messages_column and corpus.prompt_column exclude each other")
        if self.system_column and not self.prompt_column:
            raise UserError("corpus.system_column needs corpus.prompt_column")

    @property
    def conversations(self) -> bool:
        """Whether its documents are prompts and responses."""
        if self.source in EMBEDDED_SOURCES:
            return self.source in CONVERSATIONS
        return bool(self.messages_column or self.prompt_column)

    def inapplicable(self) -> set[str]:
        """Fields that mean nothing for this source."""
        columns = {
            "text_column", "id_column", "messages_column", "prompt_column", "system_column",
        }  # fmt: skip
        hub = {"hub", "subset", "files", "split"}
        if self.source in EMBEDDED_SOURCES:
            return hub | columns | {"paths"}
        return {"local": hub | {"revision"}, "hub": {"paths"}}[self.source]


@dataclass
class MixConfig:
    """A second text that every trained arm learns too, never edited.

    Attributes:
        share: its share of the tokens; 0 for none.
        corpus: the text.
    """

    share: float = 0.0
    corpus: CorpusConfig = field(default_factory=lambda: CorpusConfig(source="instructions"))

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise UserError(f"mix.share={self.share} is out of range; allowed: 0 to less than 1")


@dataclass
class GenerationsConfig:
    """Editing repeated, each time on the text edited before.

    Attributes:
        number: how often text is edited.
        measured: a second text, of which the share of near-certain tokens is measured in every
            generation, and on which nothing is trained.
    """

    number: int = 2
    measured: CorpusConfig = field(default_factory=lambda: CorpusConfig(source="questions"))

    def __post_init__(self) -> None:
        positive("generations", self, "number")


KINDS = ("human", "synthetic")
RESERVED = (*KINDS, "heldout")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass
class TextSource:
    """A text in files.

    Attributes:
        name: what tables call it; where it is trained on, its domain.
        kind: ``human`` or ``synthetic``.
        files: paths and addresses (``hf://datasets/OWNER/NAME@REVISION/…``, ``https://…``), in
            which ``*`` stands for anything; ``@ADDRESS`` for a file that lists addresses. Local
            files are identified by their content, others by their address.
        text_column: column that holds the text.
        id_column: column that holds the id; where absent, ids are file name and row.
        domain_column: column that names the domain of held-out text, ``a.b`` for column b inside
            of a; null for ``name``.
        invalid_utf8: ``error``, ``replace`` (by U+FFFD) or ``skip`` documents that are not valid.
        group: held-out text whose domains are averaged together; null for ``name``.
        tokens: how many it holds, for cost estimates.
    """

    name: str = ""
    kind: str = "human"
    files: list[str] = field(default_factory=list, metadata={"identity": "files"})
    text_column: str = "text"
    id_column: str = "id"
    domain_column: str | None = None
    invalid_utf8: str = "error"
    group: str | None = None
    tokens: float = runtime(0.0)

    def __post_init__(self) -> None:
        require_choice("kind of a source", self.kind, KINDS)
        require_choice("invalid_utf8 of a source", self.invalid_utf8, ("error", "replace", "skip"))
        if self.name and (not NAME.fullmatch(self.name) or self.name in RESERVED):
            raise UserError(
                f"a source cannot be named {self.name!r}; allowed: letters, digits and . _ -, but "
                f"not {', '.join(RESERVED)}"
            )
        if not self.name or not self.files:
            raise UserError(
                f"a source needs a name and files, as {{name: dolma, files: [FILE]}}; this one has "
                f"name={self.name!r} and files={self.files}"
            )
