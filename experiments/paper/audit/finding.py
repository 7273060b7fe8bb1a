"""What an audit finds: a statement, the arithmetic behind it, and whom it speaks for."""

from dataclasses import dataclass

FOR, AGAINST, NEUTRAL = "for", "against", "neutral"


@dataclass(frozen=True)
class Finding:
    """One finding about the printed tables.

    Attributes:
        table: file or files of ``published/`` it rests on.
        kind: what was checked.
        text: what was found, in a sentence.
        arithmetic: how it follows from the printed numbers.
        speaks: ``for`` the paper, ``against`` it (an error, or a claim that does not hold), or
            ``neutral``.
    """

    table: str
    kind: str
    text: str
    arithmetic: str
    speaks: str = NEUTRAL
