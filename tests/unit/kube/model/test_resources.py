"""The built-in resources, as the target version's own discovery documents describe them."""

from __future__ import annotations

import pytest

from seatrial.kube.model import resources


def test_builtin_lists_core_first_then_every_stable_group() -> None:
    groups = list(dict.fromkeys(resource.group for resource in resources.builtin()))

    assert groups[:3] == ["", "apps", "events.k8s.io"]
    assert {"batch", "networking.k8s.io", "rbac.authorization.k8s.io", "apiextensions.k8s.io"} <= set(groups)
    assert not {"apiregistration.k8s.io", "flowcontrol.apiserver.k8s.io"} & set(groups)


def test_builtin_has_no_alpha_or_beta_version() -> None:
    assert {resource.version for resource in resources.builtin()} == {"v1", "v2"}


def test_for_plural_gives_the_preferred_version() -> None:
    assert resources.for_plural("horizontalpodautoscalers", "autoscaling").version == "v2"


def test_for_kind_finds_a_version_that_is_not_preferred() -> None:
    assert resources.for_kind("autoscaling/v1", "HorizontalPodAutoscaler").version == "v1"


def test_for_kind_raises_key_error_for_an_unknown_kind() -> None:
    with pytest.raises(KeyError):
        resources.for_kind("v1", "Elephant")


@pytest.mark.parametrize(
    ("plural", "group", "subresource", "expected"),
    [
        ("deployments", "apps", "scale", ("autoscaling", "v1", "Scale")),
        ("deployments", "apps", "status", ("apps", "v1", "Deployment")),
        ("replicationcontrollers", "", "scale", ("autoscaling", "v1", "Scale")),
        ("pods", "", "eviction", ("policy", "v1", "Eviction")),
        ("pods", "", "status", ("", "v1", "Pod")),
        ("serviceaccounts", "", "token", ("authentication.k8s.io", "v1", "TokenRequest")),
    ],
)
def test_a_subresource_names_its_own_kind(
    plural: str, group: str, subresource: str, expected: tuple[str, str, str]
) -> None:
    found = resources.for_plural(plural, group).subresource(subresource)

    assert found is not None
    assert (found.group, found.version, found.kind) == expected


def test_a_resource_knows_its_names_scope_and_categories() -> None:
    deployments = resources.for_plural("deployments", "apps")

    assert deployments.singular == "deployment"
    assert deployments.short_names == ("deploy",)
    assert deployments.categories == ("all",)
    assert deployments.namespaced
    assert deployments.list_name == "DeploymentList"
    assert not resources.for_plural("nodes").namespaced


def test_path_holds_what_is_given() -> None:
    pods = resources.for_plural("pods")
    deployments = resources.for_plural("deployments", "apps")

    assert pods.path() == "/api/v1/pods"
    assert pods.path("shop", "web-0", "eviction") == "/api/v1/namespaces/shop/pods/web-0/eviction"
    assert deployments.path("shop") == "/apis/apps/v1/namespaces/shop/deployments"


def test_sort_versions_puts_stable_first_and_higher_first() -> None:
    given = ["v1alpha1", "foo10", "v2beta1", "v1", "v11alpha2", "v10", "v1beta2", "foo1", "v2", "v2beta2"]

    assert resources.sort_versions(given) == [
        "v10",
        "v2",
        "v1",
        "v2beta2",
        "v2beta1",
        "v1beta2",
        "v11alpha2",
        "v1alpha1",
        "foo1",
        "foo10",
    ]
