from __future__ import annotations

import pytest

from seatrial.pipeline.decision import Kind, decide

CASES = [
    (["web/views.py"], Kind.CODE),
    (["Dockerfile"], Kind.CODE),
    ([".github/workflows/ci.yml"], Kind.CODE),
    (["helm/shop/templates/web.yaml"], Kind.MANIFEST),
    (["argocd/application.yaml"], Kind.MANIFEST),
    (["k8s/base/x.yaml", "README.md"], Kind.MANIFEST),
    (["helm/shop/values.yaml"], Kind.CONFIG),
    (["helm/shop/values-prod.yaml", "docs/a.md"], Kind.CONFIG),
    (["config/app.yaml"], Kind.CONFIG),
    (["helm/shop/values.yaml", "web/views.py"], Kind.CODE),
    (["README.md", "docs/pictures/a.png", "LICENSE", "helm/shop/README.md"], Kind.OTHER),
    ([], Kind.CODE),
]


@pytest.mark.parametrize(("paths", "kind"), CASES)
def test_a_change_is_what_its_strongest_file_is(paths: list[str], kind: Kind) -> None:
    found = decide(paths)
    assert found.kind is kind
    assert found.reason.endswith({Kind.CODE: "CI", Kind.OTHER: "nothing"}.get(kind, "sync"))


def test_what_a_workflow_asks_for_is_code_and_the_reason_says_so() -> None:
    found = decide(["helm/shop/values.yaml"], "helm/shop/values.yaml matches `paths` of CI")
    assert (found.kind, found.reason) == (Kind.CODE, "helm/shop/values.yaml matches `paths` of CI: CI")
