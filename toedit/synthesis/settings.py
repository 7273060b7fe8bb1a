"""Settings of synthetic text, without importing torch."""

from dataclasses import dataclass, field

from toedit.errors import (
    LARGEST,
    SCALES,
    UserError,
    require_choice,
    require_positive,
    require_probability,
    require_within,
)

MODES = ("write", "rephrase", "continue")
FORMATS = ("a textbook section", "a blog post", "an encyclopedia article", "a short story",
           "a how-to tutorial")  # fmt: skip
AUDIENCES = ("young children", "high school students", "college students",
             "researchers and professionals", "the general public")  # fmt: skip


@dataclass
class Synthesis:
    """Number and kind of synthetic texts, and sampling settings.

    Attributes:
        mode: ``write``: a new text on a topic related to an extract, in a format, for an audience
            (purely synthetic, as Cosmopedia); ``rephrase``: the text in other words
            (semi-synthetic); ``continue``: a continuation of the extract, also by a model without a
            chat template.
        documents: texts to request, before short texts and near-duplicates are dropped.
        extract: maximum characters of the human text that a prompt quotes.
        formats: of mode ``write``, drawn uniformly.
        audiences: of mode ``write``, drawn uniformly.
        temperature: log-probabilities are divided by this.
        top_p: sample from the smallest set of tokens with this probability; 1 for all.
        top_k: sample from at most this many tokens; null for no limit.
        max_new_tokens: maximum length of a text in tokens.
        min_characters: drop shorter texts.
        similarity: drop a text with at least this (estimated) Jaccard similarity of word pairs to
            an earlier one.
        batch: prompts per batch. It changes the result, because a batch's padding changes the last
            bits of its probabilities.
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
        require_positive("synthesis", self, "documents", "extract", "top_k",
                         "max_new_tokens", "batch")  # fmt: skip
        for name in ("top_p", "similarity"):
            require_probability(f"synthesis.{name}", getattr(self, name))
        require_within("synthesis", self, *SCALES, "temperature")
        require_within("synthesis", self, 0, LARGEST, "min_characters")
        for name in ("formats", "audiences"):
            if not getattr(self, name):
                raise UserError(f"synthesis.{name} must name at least one")

    def inapplicable(self) -> set[str]:
        """Return fields that the mode does not use."""
        return set() if self.mode == "write" else {"formats", "audiences"}
