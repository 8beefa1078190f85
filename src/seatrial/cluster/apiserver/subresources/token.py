"""serviceaccounts/token: a signed token for a service account (`kubectl create token`, the kubelet's volumes)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.cluster.apiserver import writing
from seatrial.cluster.apiserver.answer import Answer
from seatrial.cluster.apiserver.auth import tokens
from seatrial.kube.model import status
from seatrial.kube.model.schema import builtin, printed

if TYPE_CHECKING:
    from seatrial.cluster.apiserver.core import Call, Core


async def create(core: Core, call: Call) -> Answer:
    body = writing.typed_body(call.request, "authentication.k8s.io/v1", "TokenRequest")
    account = core.object("serviceaccounts", call.namespace, call.target.name)
    if account is None:
        raise status.not_found(call.resource, call.target.name)
    answered = tokens.token_request(
        body, service_account=account, issuer=core.tokens, lookup=core.object, now=core.clock.time()
    )
    printed.fill(answered, builtin.type_named("io.k8s.api.authentication.v1.TokenRequest"))
    return Answer(201, object=answered)
