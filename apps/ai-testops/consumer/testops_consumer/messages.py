"""What is in the queue: a reminder that a case of a run awaits its result. The case itself is in the database."""

from __future__ import annotations

import json
from dataclasses import dataclass

LONGEST = 1024
LARGEST_ID = 2**63 - 1


class Poisonous(ValueError):
    """A message nobody will ever be able to serve."""


@dataclass(frozen=True)
class Reminder:
    run: int
    case: int

    @property
    def key(self) -> bytes:
        return str(self.run).encode()

    @property
    def value(self) -> bytes:
        return json.dumps({"run": self.run, "case": self.case}).encode()


def read(value: bytes | None) -> Reminder:
    if not value:
        raise Poisonous("the message is empty")
    if len(value) > LONGEST:
        raise Poisonous(f"the message has {len(value)} bytes, at most {LONGEST} were expected")
    try:
        content = json.loads(value)
    except (ValueError, RecursionError) as error:
        raise Poisonous(f"the message is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise Poisonous("the message is not a JSON object")
    return Reminder(_number(content, "run"), _number(content, "case"))


def _number(content: dict, name: str) -> int:
    value = content.get(name)
    if type(value) is not int or not 0 < value <= LARGEST_ID:
        raise Poisonous(f"`{name}` in the message is not an id")
    return value
