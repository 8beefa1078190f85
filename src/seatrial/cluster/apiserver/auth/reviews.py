"""The review APIs: clients ask who they are and what somebody may do. Nothing is stored.

Each function takes the posted body and answers it with its status filled in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from seatrial.base.clock import rfc3339
from seatrial.cluster.apiserver.auth.rules import ALL, Attributes
from seatrial.cluster.apiserver.auth.user import User
from seatrial.kube.model import objects, status

if TYPE_CHECKING:
    from seatrial.cluster.apiserver.auth.authenticate import Authenticator
    from seatrial.cluster.apiserver.auth.authorize import Authorizer
    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.status import Cause

AUTHORIZATION_GROUP = "authorization.k8s.io"
AUTHENTICATION_GROUP = "authentication.k8s.io"


def self_subject_access_review(user: User, body: Object, authorizer: Authorizer) -> Object:
    spec = _spec(body)
    causes = _attribute_causes(spec) + _metadata_causes(body)
    if causes:
        raise status.invalid(AUTHORIZATION_GROUP, "SelfSubjectAccessReview", "", causes)
    return _decided(body, user, spec, authorizer)


def subject_access_review(body: Object, authorizer: Authorizer) -> Object:
    spec = _spec(body)
    causes = _attribute_causes(spec) + _subject_causes(spec) + _metadata_causes(body)
    if causes:
        raise status.invalid(AUTHORIZATION_GROUP, "SubjectAccessReview", "", causes)
    return _decided(body, _subject(spec), spec, authorizer)


def local_subject_access_review(body: Object, namespace: str, authorizer: Authorizer) -> Object:
    """`namespace` is the one in the URL; a body that names another is refused."""
    if objects.namespace(body) not in ("", namespace):
        raise status.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    body = {**body, "metadata": {**objects.metadata(body), "namespace": namespace}}
    spec = _spec(body)
    causes = _attribute_causes(spec) + _subject_causes(spec) + _local_causes(body, spec)
    if causes:
        raise status.invalid(AUTHORIZATION_GROUP, "LocalSubjectAccessReview", "", causes)
    return _decided(body, _subject(spec), spec, authorizer)


def self_subject_rules_review(user: User, body: Object, authorizer: Authorizer) -> Object:
    namespace = _spec(body).get("namespace")
    if not namespace or not isinstance(namespace, str):
        raise status.bad_request("no namespace on request")
    found = authorizer.rules_for(user, namespace)
    answer: dict[str, Any] = {
        "resourceRules": found.resource_rules,
        "nonResourceRules": found.non_resource_rules,
        "incomplete": found.incomplete,
    }
    if found.error:
        answer["evaluationError"] = found.error
    return _answered(body, answer)


def token_review(body: Object, authenticator: Authenticator) -> Object:
    """Whether a token is good, for whom and for which of the audiences asked; never why not."""
    spec = _spec(body)
    token, audiences = spec.get("token"), _strings(spec.get("audiences"))
    if not token or not isinstance(token, str):
        raise status.bad_request("token is required for TokenReview in authentication")
    found = authenticator.review(token, audiences)
    if found is None:
        return _answered(body, {"user": {}, "error": "invalid bearer token"})
    user = found.user.to_json()
    return _answered(body, {"authenticated": True, "user": user, "audiences": list(found.audiences)})


def self_subject_review(user: User, body: Object, now: float) -> Object:
    answer = _answered(body, {"userInfo": user.to_json()})
    answer["metadata"] = {"creationTimestamp": rfc3339(now)}
    return answer


def _spec(body: Object) -> dict[str, Any]:
    """The spec, in which every field that should be an object is one. Raises StatusError 400."""
    spec = body.get("spec") or {}
    _require_object(spec, "spec")
    for field in ("resourceAttributes", "nonResourceAttributes", "extra"):
        _require_object(spec.get(field) or {}, f"spec.{field}")
    for field in ("fieldSelector", "labelSelector"):
        attributes = spec.get("resourceAttributes") or {}
        _require_object(attributes.get(field) or {}, f"spec.resourceAttributes.{field}")
    return cast("dict[str, Any]", spec)


def _require_object(value: object, field: str) -> None:
    if not isinstance(value, dict):
        raise status.bad_request(f"{field} must be an object")


def _answered(body: Object, answer: dict[str, Any]) -> Object:
    return {**body, "metadata": objects.metadata(body), "status": answer}


def _decided(body: Object, user: User, spec: dict[str, Any], authorizer: Authorizer) -> Object:
    decision = authorizer.allowed(user, _attributes(spec))
    answer: dict[str, Any] = {"allowed": decision.allowed}
    if decision.reason:
        answer["reason"] = decision.reason
    return _answered(body, answer)


def _attributes(spec: dict[str, Any]) -> Attributes:
    """What is asked. Field and label selectors narrow a request; RBAC knows no rule that needs them."""
    asked = spec.get("nonResourceAttributes")
    if asked is not None:
        return Attributes(verb=_text(asked, "verb"), path=_text(asked, "path") or "/")
    asked = spec["resourceAttributes"]
    return Attributes(
        verb=_text(asked, "verb"),
        group=_text(asked, "group"),
        version=_text(asked, "version") or ALL,
        resource=_text(asked, "resource"),
        subresource=_text(asked, "subresource"),
        namespace=_text(asked, "namespace"),
        name=_text(asked, "name"),
    )


def _subject(spec: dict[str, Any]) -> User:
    extra = {key: tuple(_strings(values)) for key, values in (spec.get("extra") or {}).items()}
    return User(_text(spec, "user"), tuple(_strings(spec.get("groups"))), _text(spec, "uid"), extra)


def _text(where: dict[str, Any], key: str) -> str:
    value = where.get(key)
    return value if isinstance(value, str) else ""


def _strings(values: Any) -> list[str]:
    return [value for value in values if isinstance(value, str)] if isinstance(values, list) else []


def _attribute_causes(spec: dict[str, Any]) -> list[Cause]:
    given = [spec.get(key) for key in ("resourceAttributes", "nonResourceAttributes")]
    if [item is not None for item in given].count(True) == 1:
        return _selector_causes(given[0] or {})
    detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
    return [status.invalid_value("spec", given[1], detail)]


def _selector_causes(attributes: dict[str, Any]) -> list[Cause]:
    causes: list[Cause] = []
    for name in ("fieldSelector", "labelSelector"):
        selector = attributes.get(name)
        if selector is None:
            continue
        path = f"spec.resourceAttributes.{name}"
        raw, requirements = selector.get("rawSelector"), selector.get("requirements")
        if raw and requirements:
            detail = "may not specified at the same time as requirements"
            causes.append(status.invalid_value(f"{path}.rawSelector", raw, detail))
        if not raw and not requirements:
            detail = f"when {path} is specified, requirements or rawSelector is required"
            causes.append(status.required(f"{path}.requirements", detail))
    return causes


def _subject_causes(spec: dict[str, Any]) -> list[Cause]:
    if spec.get("user") or spec.get("groups"):
        return []
    return [status.invalid_value("spec.user", "", "at least one of user or group must be specified")]


def _metadata_causes(body: Object, *allowed: str) -> list[Cause]:
    ignored = {"managedFields", "creationTimestamp", *allowed}
    if not any(value for key, value in objects.metadata(body).items() if key not in ignored):
        return []
    detail = "must be empty except for namespace" if allowed else "must be empty"
    return [status.invalid_value("metadata", objects.metadata(body), detail)]


def _local_causes(body: Object, spec: dict[str, Any]) -> list[Cause]:
    causes = _metadata_causes(body, "namespace")
    resource = spec.get("resourceAttributes")
    if resource is not None and _text(resource, "namespace") != objects.namespace(body):
        field = "spec.resourceAttributes.namespace"
        causes.append(status.invalid_value(field, _text(resource, "namespace"), "must match metadata.namespace"))
    if spec.get("nonResourceAttributes") is not None:
        detail = "disallowed on this kind of request"
        causes.append(status.invalid_value("spec.nonResourceAttributes", spec["nonResourceAttributes"], detail))
    return causes
