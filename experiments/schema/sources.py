"""Type of a text that is read from files, wherever they lie."""

import re
from dataclasses import dataclass, field

from experiments.schema.checks import runtime
from toedit.errors import UserError, require_choice

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
