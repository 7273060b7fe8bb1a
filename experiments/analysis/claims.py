"""Claims about models and their text, read from ``conf/claims.yaml``."""

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import yaml

from experiments import CONF


@dataclass(frozen=True)
class Claim:
    """A statement as a comparison of two arms; ``conf/claims.yaml`` describes the fields."""

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
    """The claims, and the hash and date of their file.

    Claims are in the order of the paper, then ours; a claim precedes those that restate it.
    """
    content = (CONF / "claims.yaml").read_bytes()
    document = yaml.safe_load(content)
    claims = [Claim(**{**row, "blocks": tuple(row["blocks"])}) for row in document["claims"]]
    order = [claim.id for claim in claims if claim.of is None]
    claims.sort(key=lambda claim: (order.index(claim.of or claim.id), claim.of is not None))
    digest = hashlib.sha256(content).hexdigest()[:12]
    return tuple(claims), {"claims_sha256": digest, "claims_fixed": str(document["fixed"])}
