"""Kinds that are asked, not stored: access and token reviews."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.cluster.apiserver import writing
from seatrial.cluster.apiserver.answer import Answer
from seatrial.cluster.apiserver.auth import reviews

if TYPE_CHECKING:
    from collections.abc import Callable

    from seatrial.cluster.apiserver.core import Call, Core
    from seatrial.kube.model.objects import Object


def _access(core: Core, call: Call, body: Object) -> Object:
    return reviews.subject_access_review(body, core.authorizer)


def _self_access(core: Core, call: Call, body: Object) -> Object:
    return reviews.self_subject_access_review(call.user, body, core.authorizer)


def _local_access(core: Core, call: Call, body: Object) -> Object:
    return reviews.local_subject_access_review(body, call.namespace, core.authorizer)


def _self_rules(core: Core, call: Call, body: Object) -> Object:
    return reviews.self_subject_rules_review(call.user, body, core.authorizer)


def _token(core: Core, call: Call, body: Object) -> Object:
    return reviews.token_review(body, core.authenticator)


def _self_subject(core: Core, call: Call, body: Object) -> Object:
    return reviews.self_subject_review(call.user, body, core.clock.time())


_REVIEWS: dict[str, Callable[[Core, Call, Object], Object]] = {
    "subjectaccessreviews.authorization.k8s.io": _access,
    "selfsubjectaccessreviews.authorization.k8s.io": _self_access,
    "localsubjectaccessreviews.authorization.k8s.io": _local_access,
    "selfsubjectrulesreviews.authorization.k8s.io": _self_rules,
    "tokenreviews.authentication.k8s.io": _token,
    "selfsubjectreviews.authentication.k8s.io": _self_subject,
}


def is_virtual(resource: str) -> bool:
    return resource in _REVIEWS


async def create(core: Core, call: Call) -> Answer:
    body, duplicates = writing.body_object(call.request)
    writing.check_kind(body, call.kind)
    call.warnings += writing.clean(body, call.kind, duplicates, writing.field_validation(call))
    return Answer(201, object=_REVIEWS[call.resource.group_resource](core, call, body), warnings=call.warnings)
