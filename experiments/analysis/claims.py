"""Claims about models and their text, as ``conf/claims.yaml`` fixes them."""

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[2] / "conf" / "claims.yaml"


@dataclass(frozen=True)
class Claim:
    """A statement as a comparison, as ``conf/claims.yaml`` describes its fields."""

    id: str
    name: str
    text: str
    where: str
    table: int
    blocks: tuple[str, ...]
    first: str
    second: str
    column: str
    sign: int
    margin: float | dict[str, float] = field(hash=False)
    printed: dict[str, Any] = field(default_factory=dict, hash=False)
    about: str = "training"
    of: str | None = None
    family: str = "paper"
    model: str = ""


@lru_cache
def read_claims() -> tuple[tuple[Claim, ...], dict[str, str]]:
    """The claims in the order of the paper, each before what restates it, and ours last; and what
    identifies them: hash and date of the file."""
    import yaml

    content = FILE.read_bytes()
    found = yaml.safe_load(content)
    claims = [Claim(**{**own, "blocks": tuple(own["blocks"])}) for own in found["claims"]]
    first = [own.id for own in claims if own.of is None]
    claims.sort(key=lambda own: (first.index(own.of or own.id), own.of is not None))
    digest = hashlib.sha256(content).hexdigest()[:12]
    return tuple(claims), {"claims_sha256": digest, "claims_fixed": str(found["fixed"])}
