"""Rules of metadata that only very large objects show."""

from __future__ import annotations

from typing import Any

from seatrial.cluster.apiserver.kinds import metadata


def test_thousands_of_controllers_are_one_problem() -> None:
    """The text holds all owners: one such text for each owner would not fit into memory."""
    owners: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Pod", "name": f"p{index}", "uid": f"u{index}", "controller": True}
        for index in range(20_000)
    ]
    causes = metadata.validate({"metadata": {"name": "a", "ownerReferences": owners}}, False, lambda _name: [])
    assert len(causes) == 1
    assert causes[0].message.endswith('Found "true" in references for Pod/p0 and Pod/p1')
