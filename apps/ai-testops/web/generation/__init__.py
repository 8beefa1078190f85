"""From an imported description to test cases: `generate` is all that the web service calls."""

from __future__ import annotations

from typing import Any

from generation.cases import Case, Generated, Generator

__all__ = ["Case", "Generated", "Generator", "generate"]
DEFAULT_LIMIT = 2000


def generate(
    document: dict[str, Any], *, seed: int, generator: str = "offline", limit: int = DEFAULT_LIMIT
) -> Generated:
    """Cases for a document as specifications.document.parse returns it."""
    if generator == "offline":
        from generation.offline import OfflineGenerator

        return OfflineGenerator().generate(document, seed=seed, limit=limit)
    if generator == "llm":
        from generation.llm import from_environment

        return from_environment().generate(document, seed=seed, limit=limit)
    raise ValueError(f"generator: {generator!r}: offline or llm was expected")
