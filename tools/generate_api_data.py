"""Make `src/seatrial/kube/model/data/*.json` from the sources of the Kubernetes version we follow.

Run: `python tools/generate_api_data.py` (needs `go`, which finds or fetches the modules). The results are
committed; run it again to follow another version (`go_modules.py`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import openapi_facts
import protobuf_facts
import resource_facts

if TYPE_CHECKING:
    from collections.abc import Callable

TARGET = Path(__file__).parents[1] / "src/seatrial/kube/model/data"
GENERATED: dict[str, Callable[[], dict[str, Any]]] = {
    "gnostic_v2.json": openapi_facts.gnostic,
    "openapi_defaults.json": openapi_facts.defaults,
    "protobuf.json": protobuf_facts.collect,
    "resources.json": resource_facts.collect,
}


def main() -> None:
    TARGET.mkdir(exist_ok=True)
    for name, collect in GENERATED.items():
        text = json.dumps(collect(), separators=(",", ":"), ensure_ascii=False)
        (TARGET / name).write_text(_line_per_entry(text), encoding="utf-8")
        print(f"{name}: {len(text)} bytes")


def _line_per_entry(text: str) -> str:
    """A line break before each entry of the outer collections, so that a new version reads as a diff."""
    depth, quoted, out = 0, False, []
    for index, char in enumerate(text):
        if char == '"' and text[index - 1] != "\\":
            quoted = not quoted
        if not quoted:
            depth += (char in "{[") - (char in "}]")
        out.append(char)
        if char == "," and depth == 2 and not quoted:
            out.append("\n")
    return "".join(out) + "\n"


if __name__ == "__main__":
    main()
