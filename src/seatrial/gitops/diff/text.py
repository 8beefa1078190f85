"""A Difference as text, as `app diff` prints it. Secrets are masked on the way."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import yaml

from seatrial.gitops.diff.mask import masked
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seatrial.gitops.diff.compare import Difference
    from seatrial.kube.model.objects import Object, Ref

_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def text_diff(differences: Iterable[Difference]) -> str:
    """All that differ, each under its heading; "" if none does."""
    return "\n".join(shown for difference in differences if (shown := one(difference)))


def one(difference: Difference) -> str:
    obj = difference.live if difference.live is not None else difference.predicted
    if obj is None:
        return ""
    live, predicted = masked(difference.live, difference.predicted)
    lines = difflib.unified_diff(_lines(live), _lines(predicted), "live", "target", n=3)
    return f"{heading(objects.ref(obj))}\n{''.join(lines)}"


def heading(ref: Ref) -> str:
    """`===== apps/Deployment shop/web ======`."""
    return f"===== {ref.group}/{ref.kind} {ref.namespace}/{ref.name} ======"


def _lines(obj: Object | None) -> list[str]:
    if obj is None:
        return []
    text: str = yaml.dump(obj, Dumper=_DUMPER, sort_keys=True, allow_unicode=True, width=1_000_000)
    return text.splitlines(keepends=True)
