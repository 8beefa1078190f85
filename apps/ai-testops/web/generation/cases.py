"""What a generator makes: cases, as data. The web service stores them; nothing here is ever run as code."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Protocol

POSITIVE, BOUNDARY, NEGATIVE, AUTHENTICATION = "positive", "boundary", "negative", "authentication"
MAX_TITLE = 300
MAX_OPERATION = 300


@dataclass(frozen=True)
class Case:
    key: str
    kind: str
    operation: str
    title: str
    oracle: str
    method: str
    path: str
    headers: dict[str, str]
    body: str | None
    authentication: dict[str, dict[str, str]]
    expectation: dict[str, Any]


@dataclass(frozen=True)
class Generated:
    cases: list[Case]
    notes: list[str] = field(default_factory=list)
    generator: str = "offline"
    """The one that made the cases: not the one asked for when that one failed."""


class Generator(Protocol):
    def generate(self, document: dict[str, Any], *, seed: int, limit: int) -> Generated: ...


def make_case(**content: Any) -> Case:
    """The key is made of what the case does, not of how it is named: the same request and judgement are one case."""
    content["title"] = content["title"][:MAX_TITLE]
    content["operation"] = content["operation"][:MAX_OPERATION]
    essence = {name: value for name, value in content.items() if name not in {"title", "oracle"}}
    key = hashlib.sha256(json.dumps(essence, sort_keys=True).encode()).hexdigest()
    return Case(key=key, **content)
