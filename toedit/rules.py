"""Editing rules: the condition on a token's probability and the sampler that redraws it.

The paper's rule (Eq. 2) keeps a token x_i where P(x_i | x_<i) < p and otherwise redraws it from the
prior. Text, equation and released code disagree in details: each detail is a field, and their
combinations are presets.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from toedit.errors import (
    SCALES,
    UserError,
    require_choice,
    require_probability,
    require_within,
)
from toedit.plugins import is_plugin

SAMPLER_NAMES = ("top_k", "top_p", "rejection", "none")
SOURCE_TOKEN = ("allowed", "included", "excluded")
PROPOSALS = ("uniform", "prior")
DETAILS = frozenset({"temperature", "source_token", "proposal", "beta"})
"""Fields that descriptions may leave out."""
MOST_CANDIDATES, MOST_ROUNDS = 10**6, 10**4
"""More than any vocabulary has, and more rounds than memory has random numbers for."""


@dataclass
class EditRule:
    """An editing rule.

    Attributes:
        threshold: edit tokens with probability at least this, in (0, 1]; None for no lower bound.
        ceiling: edit tokens with probability at most this, in (0, 1]; None for no upper bound. With
            both bounds set the rule edits a band.
        strict: compare with > and < instead of >= and <=.
        sampler: ``top_k``, ``top_p``, ``rejection``, ``none`` (the no-edit control: the same code
            path, nothing drawn), or ``module:Class`` of your own (docs/extending.md).
        k: candidates of ``top_k`` and ``rejection``: the prior's k most probable tokens.
        top_p: probability mass of the nucleus, for ``top_p``.
        temperature: log-probabilities of the candidates are divided by this before sampling.
        source_token: ``allowed`` draws the source token when it is among the candidates,
            ``included`` adds it to them, ``excluded`` removes it, so that every draw is a change.
        delete_below: delete tokens less probable than this; None deletes none.
        proposal: ``rejection`` only: candidates are proposed uniformly or from the prior.
        beta: ``rejection`` only: accept with probability exp((r - r_max) / beta), r = log p.
        max_rounds: ``rejection`` only: proposals before the source token is kept.
        arguments: of your own sampler, by keyword.
    """

    threshold: float | None = 0.99
    ceiling: float | None = None
    strict: bool = False
    sampler: str = field(default="top_k", metadata={"identity": "sampler"})
    k: int = 8
    top_p: float = 0.99
    temperature: float = 1.0
    source_token: str = "allowed"
    delete_below: float | None = None
    proposal: str = "uniform"
    beta: float = 1.0
    max_rounds: int = 64
    arguments: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not is_plugin(self.sampler):
            require_choice("edit.sampler", self.sampler, SAMPLER_NAMES)
            if self.arguments:
                raise UserError(
                    f"edit.arguments={self.arguments} are for a sampler of your own, "
                    f"edit.sampler=module:Class, and not for {self.sampler!r}"
                )
        require_choice("edit.source_token", self.source_token, SOURCE_TOKEN)
        require_choice("edit.proposal", self.proposal, PROPOSALS)
        for name in ("threshold", "ceiling", "delete_below", "top_p"):
            require_probability(f"edit.{name}", getattr(self, name))
        require_within("edit", self, *SCALES, "temperature", "beta")
        require_within("edit", self, 1, MOST_CANDIDATES, "k")
        require_within("edit", self, 1, MOST_ROUNDS, "max_rounds")
        if self.threshold is None and self.ceiling is None and self.sampler != "none":
            raise UserError(
                "edit.threshold and edit.ceiling are both null, so every token would be redrawn; "
                "set one of them, or edit.sampler=none"
            )
        if None not in (self.threshold, self.ceiling) and self.threshold > self.ceiling:  # type: ignore[operator]
            raise UserError(
                f"edit.threshold={self.threshold} lies above edit.ceiling={self.ceiling}: "
                "the band is empty"
            )

    def inapplicable(self) -> set[str]:
        """Return fields that cannot change the edits (left out of the rule's identity)."""
        unused = set() if self.sampler == "rejection" else {"proposal", "beta", "max_rounds"}
        if self.sampler != "top_p":
            unused |= {"top_p"}
        if self.sampler in ("top_p", "none"):
            unused |= {"k"}
        if self.sampler == "none":
            unused |= {"temperature", "source_token"}
        return unused

    def describe(self, fields: Collection[str] = DETAILS) -> str:
        """Describe the rule in a few words, for tables and logs.

        Args:
            fields: of :data:`DETAILS`, those to name.
        """
        more, less = (">", "<") if self.strict else (">=", "<=")
        bounds = [f"p {more} {self.threshold:g}"] if self.threshold is not None else []
        bounds += [f"p {less} {self.ceiling:g}"] if self.ceiling is not None else []
        sampler = {
            "top_k": f"top-k {self.k}",
            "top_p": f"top-p {self.top_p:g}",
            "none": "no edit",
        }.get(self.sampler, f"{self.sampler} k {self.k}")
        parts = [" and ".join(bounds), sampler]
        if self.sampler == "rejection" and {"proposal", "beta"} & set(fields):
            parts[1] += f" {self.proposal} beta {self.beta:g}"
        parts += [f"{name.replace('_', ' ')} {value}" for name, value in self.arguments.items()]
        if self.sampler != "none" and "temperature" in fields:
            parts.append(f"temperature {self.temperature:g}")
        if self.sampler != "none" and "source_token" in fields:
            parts.append(f"source token {self.source_token}")
        if self.delete_below is not None:
            parts.append(f"deleting p < {self.delete_below:g}")
        return ", ".join(part for part in parts if part)


PRESETS: dict[str, EditRule] = {
    "paper_text": EditRule(),
    "released_code": EditRule(strict=True, temperature=1.5, source_token="included"),
    "forced": EditRule(source_token="excluded"),
    "none": EditRule(sampler="none"),
}
"""``paper_text``: Eq. 2 and section 5.1 as written. ``released_code``: what the authors' editing
script does (strictly above p, softmax of log p / 1.5, the token itself among the candidates), which
produced the paper's numbers. ``forced``: every eligible token changes. ``none``: the no-edit
control."""


def preset(name: str) -> EditRule:
    """Return the preset of that name, or raise a UserError."""
    require_choice("preset", name, PRESETS)
    return PRESETS[name]
