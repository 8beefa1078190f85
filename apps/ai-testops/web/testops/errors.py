"""What a person asked for and cannot have. The API answers 400 with it, the pages show it where it was asked."""

from __future__ import annotations


class Refusal(Exception):
    """`field` is the part of the request that would have to be different."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message
