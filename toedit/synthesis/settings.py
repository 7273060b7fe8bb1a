"""Settings of synthesis; plain data, imports no torch."""

from dataclasses import dataclass, field

from toedit.errors import UserError, require_choice, require_probability

MODES = ("write", "rephrase", "continue")
FORMATS = ("a textbook section", "a blog post", "an encyclopedia article", "a short story",
           "a how-to tutorial")  # fmt: skip
AUDIENCES = ("young children", "high school students", "college students",
             "researchers and professionals", "the general public")  # fmt: skip


@dataclass
class Synthesis:
    """What is written, and how it is sampled.

    Attributes:
        mode: ``write``: a new text on a topic related to an extract, in a format, for an audience
            (purely synthetic, as Cosmopedia); ``rephrase``: the text itself in other words
            (semi-synthetic); ``continue``: the extract is continued, by a model without a chat
            template too.
        documents: texts asked for; what is too short or a near-duplicate is dropped from them.
        extract: characters of the human text that a prompt quotes; whole passages up to so many
            in mode ``rephrase``.
        formats: of mode ``write``, drawn evenly.
        audiences: of mode ``write``, drawn evenly.
        temperature: log-probabilities are divided by this.
        top_p: the smallest set of tokens that holds so much probability is sampled from; 1 for all.
        top_k: and no more than so many tokens; null for no limit.
        max_new_tokens: longest text.
        min_characters: shorter texts are dropped.
        similarity: a text that shares this much of its pairs of words with an earlier one (Jaccard,
            estimated) is dropped.
        batch: prompts sampled together. It belongs to the result, because a batch's padding shows
            in the last bits of its probabilities.
    """

    mode: str = "write"
    documents: int = 100
    extract: int = 250
    formats: list[str] = field(default_factory=lambda: list(FORMATS))
    audiences: list[str] = field(default_factory=lambda: list(AUDIENCES))
    temperature: float = 0.8
    top_p: float = 0.95
    top_k: int | None = 50
    max_new_tokens: int = 384
    min_characters: int = 200
    similarity: float = 0.8
    batch: int = 16

    def __post_init__(self) -> None:
        require_choice("synthesis.mode", self.mode, MODES)
        for name in ("documents", "extract", "temperature", "top_k", "max_new_tokens", "batch"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise UserError(f"synthesis.{name}={value} must be finite and greater than 0")
        for name in ("top_p", "similarity"):
            require_probability(f"synthesis.{name}", getattr(self, name))
        if self.min_characters < 0:
            raise UserError(f"synthesis.min_characters={self.min_characters} must be at least 0")
        for name in ("formats", "audiences"):
            if not getattr(self, name):
                raise UserError(f"synthesis.{name} must name at least one")

    def inapplicable(self) -> set[str]:
        """Formats and audiences where none are asked for."""
        return set() if self.mode == "write" else {"formats", "audiences"}
