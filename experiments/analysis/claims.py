"""The paper's claims about models, as ``conf/claims.yaml`` fixes them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).parents[2] / "conf" / "claims.yaml"


@dataclass(frozen=True)
class Claim:
    """A statement of the paper as a comparison, as ``conf/claims.yaml`` describes its fields."""

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
    margin: float
    printed: dict[str, Any] = field(hash=False)
    about: str = "training"
    beside: str | None = None


@lru_cache
def read_claims() -> tuple[tuple[Claim, ...], dict[str, str]]:
    """The claims in the order of the paper, and what identifies them: hash and date of the file."""
    import yaml

    content = FILE.read_bytes()
    found = yaml.safe_load(content)
    claims = tuple(Claim(**{**own, "blocks": tuple(own["blocks"])}) for own in found["claims"])
    digest = hashlib.sha256(content).hexdigest()[:12]
    return claims, {"claims_sha256": digest, "claims_fixed": str(found["fixed"])}
