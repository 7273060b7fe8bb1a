"""Configuration of corpora: the text that is edited, second texts, and sources in files."""

import re
from dataclasses import dataclass, field

from experiments.config.checks import runtime
from experiments.config.limits import LARGEST_PLAN
from toedit.corpora import INVALID_UTF8, MISSING_TEXT
from toedit.errors import LARGEST, UserError, require_choice, require_positive, require_within
from toedit.user_paths import user_path

EMBEDDED_SOURCES = ("bioasq", "mathematics", "questions", "explanations", "instructions", "code")
SOURCES = (*EMBEDDED_SOURCES, "local", "hub")
CONVERSATIONS = EMBEDDED_SOURCES[2:]
"""Embedded sources that hold conversations."""


@dataclass
class RoleNames:
    """Names that a data set gives the roles of messages, as in ``assistant: [model]``."""

    system: list[str] = field(default_factory=list)
    user: list[str] = field(default_factory=list)
    assistant: list[str] = field(default_factory=list)
    tool: list[str] = field(default_factory=list)


@dataclass
class CorpusConfig:
    """A text and how it is split.

    Attributes:
        source: embedded text (``bioasq``, ``mathematics``) or conversations (``questions``,
            ``explanations``, ``instructions``, ``code``), ``local`` files, or ``hub``.
        paths: files or folders of ``local``; identified by their content.
        hub: data set of ``hub``, or a folder that ``datasets`` reads.
        subset: configuration of the data set.
        files: pattern of files inside a data set without a loader, or an address as
            ``zip://PATH::hf://…`` for a file in an archive; null for all.
        split: split of the data set.
        revision: commit of the data set.
        text_column: column of the text.
        id_column: column of the id; if absent or null, ids are file name and row.
        messages_column: column of chat messages, instead of a text; only responses are edited.
        first_exchange: keep the first message of the user and the first response alone.
        role_names: names of roles in the messages besides the usual ones.
        prompt_column: column of prompts, with ``text_column`` as the response.
        system_column: column of the system prompt, such as the definition of a task.
        invalid_utf8: ``error``, ``replace`` (by U+FFFD) or ``skip`` records that are not valid.
        missing_text: ``error``, ``keep`` (as an empty text) or ``skip`` records whose text, prompt
            or messages are null or missing.
        heldout_share: share of connected groups of documents held out, between 0 and 1.
        read_characters: characters to read of the source, in its order; null for all.
        train_characters: most characters of training text, in a fixed order; null for all.
        heldout_characters: the same for held-out text.
        decontaminate: further embedded benchmarks, in addition to the evaluated ones, whose items
            must not be in the text.
        remove_overlap: leave out documents that share 13 words in a row with an item of a
            benchmark; otherwise only count them.
    """

    source: str = "bioasq"
    paths: list[str] = field(default_factory=list, metadata={"identity": "content"})
    hub: str | None = None
    subset: str | None = None
    files: str | None = None
    split: str = "train"
    revision: str | None = None
    text_column: str = "text"
    id_column: str | None = "id"
    messages_column: str | None = None
    first_exchange: bool = False
    role_names: RoleNames = field(default_factory=RoleNames)
    prompt_column: str | None = None
    system_column: str | None = None
    invalid_utf8: str = "error"
    missing_text: str = "error"
    heldout_share: float = 0.1
    read_characters: int | None = None
    train_characters: int | None = None
    heldout_characters: int | None = None
    decontaminate: list[str] = field(default_factory=list)
    remove_overlap: bool = True

    def __post_init__(self) -> None:
        require_choice("corpus.source", self.source, SOURCES)
        require_choice("corpus.invalid_utf8", self.invalid_utf8, INVALID_UTF8)
        require_choice("corpus.missing_text", self.missing_text, MISSING_TEXT)
        self.paths = [user_path(path, "corpus.paths: ") for path in self.paths]
        self.hub = None if self.hub is None else user_path(self.hub, "corpus.hub=")
        require_positive(
            "corpus", self, "read_characters", "train_characters", "heldout_characters"
        )
        if not 0 < self.heldout_share < 1:
            raise UserError(f"corpus.heldout_share={self.heldout_share} must lie between 0 and 1")
        if self.source == "local" and not self.paths:
            raise UserError("corpus.source=local needs corpus.paths=[FILE,...]")
        if self.source == "hub" and not self.hub:
            raise UserError("corpus.source=hub needs corpus.hub=DATASET")
        if self.messages_column and self.prompt_column:
            raise UserError("corpus.messages_column and corpus.prompt_column exclude each other")
        if self.first_exchange and not self.messages_column:
            raise UserError("corpus.first_exchange needs corpus.messages_column")
        if self.system_column and not self.prompt_column:
            raise UserError("corpus.system_column needs corpus.prompt_column")

    @property
    def conversations(self) -> bool:
        """Whether documents are prompts and responses."""
        if self.source in EMBEDDED_SOURCES:
            return self.source in CONVERSATIONS
        return bool(self.messages_column or self.prompt_column)

    def inapplicable(self) -> set[str]:
        """Fields that have no effect for this source."""
        columns = {
            "text_column", "id_column", "messages_column", "first_exchange", "role_names",
            "prompt_column", "system_column", "invalid_utf8", "missing_text",
        }  # fmt: skip
        hub = {"hub", "subset", "files", "split"}
        if self.source in EMBEDDED_SOURCES:
            return hub | columns | {"paths"}
        return {"local": hub | {"revision"}, "hub": {"paths"}}[self.source]


@dataclass
class MixConfig:
    """A second text that every arm learns as well; it is never edited.

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
    """Repeated editing, each time of the previously edited text.

    Attributes:
        number: number of edits.
        measured: a second text whose share of near-certain tokens is measured in every generation;
            no model learns it.
    """

    number: int = 2
    measured: CorpusConfig = field(default_factory=lambda: CorpusConfig(source="questions"))

    def __post_init__(self) -> None:
        require_within("generations", self, 1, LARGEST_PLAN, "number")


KINDS = ("human", "synthetic")
RESERVED = (*KINDS, "heldout")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass
class TextSource:
    """A text in files.

    Attributes:
        name: name in tables; for training text, its domain.
        kind: ``human`` or ``synthetic``.
        files: paths and addresses (``hf://datasets/OWNER/NAME@REVISION/…``, ``https://…``), with
            ``*`` as wildcard; ``@ADDRESS`` for a file that lists addresses. Local files are
            identified by their content, others by their address.
        text_column: column of the text.
        id_column: column of the id; if absent or null, ids are file name and row.
        domain_column: column with the domain of held-out text, ``a.b`` for column b inside of a;
            null for ``name``.
        invalid_utf8: ``error``, ``replace`` (by U+FFFD) or ``skip`` documents that are not valid.
        missing_text: ``error``, ``keep`` (as an empty text) or ``skip`` records whose text is null
            or missing.
        group: held-out texts whose domains are averaged together; null for ``name``.
        tokens: size in tokens, for cost estimates.
    """

    name: str = ""
    kind: str = "human"
    files: list[str] = field(default_factory=list, metadata={"identity": "files"})
    text_column: str = "text"
    id_column: str | None = "id"
    domain_column: str | None = None
    invalid_utf8: str = "error"
    missing_text: str = "error"
    group: str | None = None
    tokens: float = runtime(0.0)

    def __post_init__(self) -> None:
        require_choice("kind of a source", self.kind, KINDS)
        require_choice("invalid_utf8 of a source", self.invalid_utf8, INVALID_UTF8)
        require_choice("missing_text of a source", self.missing_text, MISSING_TEXT)
        require_within("source", self, 0, LARGEST, "tokens")
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
