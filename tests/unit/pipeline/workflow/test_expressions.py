from __future__ import annotations

from typing import Any

import pytest

from seatrial.pipeline.workflow.expressions import ExpressionUnknown, text_of, truth_of

CONTEXTS: dict[str, Any] = {
    "github": {"ref": "refs/heads/main", "workflow": "CI", "head_ref": "", "run_id": "7", "event": {"ref": "r"}},
    "inputs": {},
}
TEXTS = [
    ("plain", "plain"),
    ("${{ github.workflow }}-${{ github.ref }}", "CI-refs/heads/main"),
    ("${{ github.head_ref || github.run_id }}", "7"),
    ("${{ github.ref == 'refs/heads/main' && 'prod' || 'dev' }}", "prod"),
    ("${{ github.ref == 'REFS/heads/MAIN' }}", "true"),
    ("${{ github.event.ref }}${{ github.event.none.deeper }}", "r"),
    ("${{ format('{0}/{1}', github.workflow, 3) }}", "CI/3"),
    ("${{ startsWith(github.ref, 'refs/tags/') }}", "false"),
    ("${{ !(github.ref != 'x') }}", "false"),
    ("${{ 'it''s' }}", "it's"),
    ("${{ inputs.none == null }}", "true"),
]


@pytest.mark.parametrize(("template", "expected"), TEXTS)
def test_what_github_knows_before_a_run_is_evaluated(template: str, expected: str) -> None:
    assert text_of(template, CONTEXTS) == expected


@pytest.mark.parametrize(
    "template",
    ["${{ secrets.X }}", "${{ hashFiles('x') }}", "${{ github. }}", "${{ (github.ref }}", "${{ }}", "${{ format() }}",
     "${{ " + "!" * 100 + "true }}", "${{ 'open }}", "x" * 20_000],
)  # fmt: skip
def test_anything_else_is_refused(template: str) -> None:
    with pytest.raises(ExpressionUnknown):
        text_of(template, CONTEXTS)


def test_a_flag_is_a_value_or_an_expression() -> None:
    assert truth_of(True, CONTEXTS)
    assert not truth_of(None, CONTEXTS)
    assert truth_of("${{ github.ref == 'refs/heads/main' }}", CONTEXTS)
    assert not truth_of("false", CONTEXTS)
