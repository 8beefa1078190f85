"""What would overflow libyaml's stack is refused before; what people write is not."""

from __future__ import annotations

import subprocess
import sys

import pytest

from seatrial.base import yamldepth

DEEP = 100_000
BOMBS = {
    "lists": b"[" * DEEP,
    "maps": b"{a: " * DEEP,
    "mixed": b"[{a: " * DEEP,
    "items on one line": b"- " * DEEP + b"x",
    "keys on one line": b"? " * DEEP + b"x",
    "by indentation": b"\n".join(b" " * level + b"a:" for level in range(2000)),
    "behind a text": b'a: "]]]]]]]]"\nb: ' + b"[" * DEEP,
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS.keys())
def test_bombs_are_refused(bomb: bytes) -> None:
    with pytest.raises(yamldepth.TooDeep):
        yamldepth.check(bomb)


def test_what_passes_does_not_end_the_process() -> None:
    code = "import sys, yaml; yaml.load(sys.stdin.buffer.read(), yaml.CSafeLoader)"
    for deepest in (b"[" * yamldepth.DEEPEST + b"]" * yamldepth.DEEPEST, b"- " * (yamldepth.DEEPEST - 1) + b"x"):
        yamldepth.check(deepest)
        assert subprocess.run([sys.executable, "-c", code], input=deepest, check=False).returncode == 0


def test_many_shallow_lists_are_fine() -> None:
    yamldepth.check(b"- [a, b]\n- {c: d}\n" * 100_000)
    yamldepth.check("text: " + "x" * 100_000)
