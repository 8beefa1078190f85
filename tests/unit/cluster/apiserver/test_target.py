"""What a path is aimed at."""

from __future__ import annotations

import pytest

from seatrial.cluster.apiserver.target import Target, parse


def aimed(path: str, method: str = "GET", **options: str) -> Target:
    found = parse(method, path, **options)  # type: ignore[arg-type]
    assert found is not None
    return found


def test_a_namespaced_resource_has_all_its_parts() -> None:
    found = aimed("/apis/apps/v1/namespaces/shop/deployments/web/scale", "PUT")
    assert found == Target("update", "apps", "v1", "deployments", "shop", "web", "scale")


@pytest.mark.parametrize("path", ["/api/v1/namespaces/shop", "/api/v1/namespaces/shop/status"])
def test_a_namespace_counts_as_in_itself(path: str) -> None:
    found = aimed(path)
    assert (found.resource, found.namespace, found.name) == ("namespaces", "shop", "shop")


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("rest", ["", "/b", "/b/status", "/b/finalize"])
def test_no_namespace_is_reached_through_another(method: str, rest: str) -> None:
    assert parse(method, f"/api/v1/namespaces/a/namespaces{rest}") is None


def test_another_group_may_have_a_resource_called_namespaces() -> None:
    found = aimed("/apis/example.com/v1/namespaces/a/namespaces/b")
    assert (found.group, found.namespace, found.name) == ("example.com", "a", "b")


@pytest.mark.parametrize(
    "path",
    [
        "/apis//v1/secrets",
        "/api/v1/namespaces//secrets",
        "/api/v1/namespaces/a//secrets",
        "/api//v1/secrets",
        "/api/v1",
        "/apis/apps/v1",
        "/API/v1/secrets",
        "/./api/v1/secrets",
        "//",
    ],
)
def test_a_path_with_a_part_missing_is_no_resource(path: str) -> None:
    assert parse("GET", path) is None


@pytest.mark.parametrize(("watch", "verb"), [(False, "list"), (True, "watch")])
def test_a_list_or_watch_of_one_name_is_about_that_name(watch: bool, verb: str) -> None:
    found = parse("GET", "/api/v1/namespaces/a/secrets", watch, "metadata.name=s,metadata.namespace!=b")
    assert found is not None
    assert (found.verb, found.name) == (verb, "s")


@pytest.mark.parametrize("selector", ["metadata.name!=s", "metadata.namespace=metadata.name", ""])
def test_other_selectors_name_nothing(selector: str) -> None:
    assert aimed("/api/v1/namespaces/a/secrets", field_selector=selector).name == ""


def test_a_selector_names_nothing_to_delete() -> None:
    found = aimed("/api/v1/namespaces/a/secrets", "DELETE", field_selector="metadata.name=s")
    assert (found.verb, found.name) == ("deletecollection", "")


def test_a_watch_of_a_named_object_is_a_get() -> None:
    found = parse("GET", "/api/v1/namespaces/a/secrets/s", True)
    assert found is not None
    assert found.verb == "get"
