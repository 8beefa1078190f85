"""The front desk: what is asked, may this user ask it, and which function answers.

Comes after `app` (HTTP, authentication) or `inprocess` (a caller inside this process); before `verbs/`,
`subresources/` and `virtual`. Every refusal is a StatusError; whatever else escapes is a bug of ours and becomes
one 500 with a line in the log.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from seatrial.cluster.apiserver import discovery, metrics, subresources, target, version, virtual
from seatrial.cluster.apiserver.answer import Answer, StreamAnswer, Tunnel, WatchAnswer
from seatrial.cluster.apiserver.auth.authorize import forbidden
from seatrial.cluster.apiserver.auth.rules import Attributes
from seatrial.cluster.apiserver.core import Call, attributes
from seatrial.cluster.apiserver.subresources import binding
from seatrial.cluster.apiserver.verbs import create, delete, patch, read, update, watch
from seatrial.cluster.store.errors import StoreClosed, StoreFailed
from seatrial.kube.model import objects, status
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from seatrial.cluster.apiserver.auth.user import User
    from seatrial.cluster.apiserver.core import Core
    from seatrial.cluster.apiserver.openapi import OpenAPI
    from seatrial.cluster.apiserver.subresources import Handler
    from seatrial.kube.client.transport import Request

    Reply = Answer | WatchAnswer | StreamAnswer | Tunnel

log = logging.getLogger(__name__)

_VERBS: dict[str, Handler] = {
    "get": read.get,
    "list": read.list_,
    "create": create.create,
    "update": update.update,
    "patch": patch.patch,
    "delete": delete.delete,
    "deletecollection": delete.delete_collection,
}
_REVEALING = frozenset({404, 409, 422})
"""Refusals that tell what is stored; they too wait until it is on disk."""
_HEALTH = ("healthz", "livez", "readyz")


_OF_COLLECTIONS = ("create", "list", "watch", "deletecollection")


class Api:
    def __init__(self, core: Core, openapi: OpenAPI) -> None:
        self.core = core
        self._openapi = openapi
        self.is_ready = False
        """False until the supervisor of this process says that everything behind the API runs."""

    async def handle(self, request: Request, user: User) -> Reply:
        """Answer one request. Raises StatusError and nothing else."""
        try:
            return await self._answer(request, user)
        except StatusError:
            raise
        except StoreFailed as error:
            raise StatusError(500, "InternalError", error.message) from error
        except StoreClosed as error:
            raise StatusError(503, "ServiceUnavailable", error.message) from error
        except Exception as error:
            if isinstance(error, RecursionError) or "Recursion limit" in str(error):  # Python's, or the encoder's
                raise status.bad_request(objects.TOO_DEEP) from error
            log.exception("request failed", extra={"method": request.method, "path": request.path})
            raise status.internal_error(f"{type(error).__name__} while answering: see the server's log") from error

    async def _answer(self, request: Request, user: User) -> Reply:
        try:
            return await self._dispatch(request, user)
        except StatusError as error:
            if error.code in _REVEALING:
                await self.core.store.settled(self.core.store.revision)
            raise

    async def _dispatch(self, request: Request, user: User) -> Reply:
        aimed = target.parse(request.method, request.path, bool(request.flag("watch")), request.param("fieldSelector"))
        if aimed is None:
            self._authorize(user, Attributes(verb=request.method.lower(), path=request.path))
            return self._non_resource(request)
        self._authorize(user, attributes(aimed))
        kind = self.core.catalog.find(aimed.group, aimed.version, aimed.resource)
        if kind is None:
            raise status.page_not_found()
        if aimed.namespace and not kind.resource.namespaced and kind.key != "namespaces":
            raise status.page_not_found()
        call = Call(request, aimed, kind, user)
        if kind.deprecation:
            call.warnings.append(kind.deprecation)
        return await self._run(call)

    def _authorize(self, user: User, asked: Attributes) -> None:
        decision = self.core.authorizer.allowed(user, asked)
        if not decision:
            raise forbidden(user, asked, decision.reason)

    async def _run(self, call: Call) -> Reply:
        aimed = call.target
        if aimed.subresource:
            return await self._subresource(call)(self.core, call)
        if aimed.verb not in call.resource.verbs:
            raise status.method_not_allowed()
        if _is_misplaced(call):
            raise status.method_not_allowed()
        if virtual.is_virtual(call.resource.group_resource):
            return await virtual.create(self.core, call)
        if call.resource.group == metrics.GROUP and call.kind.custom is None:
            return await (metrics.get if aimed.verb == "get" else metrics.list_)(self.core, call)
        if call.resource.kind == "Binding":
            return await binding.create(self.core, call)
        if aimed.verb == "watch":
            return await watch.watch(self.core, call)
        return await _VERBS[aimed.verb](self.core, call)

    def _subresource(self, call: Call) -> Handler:
        aimed = call.target
        known = call.resource.subresource(aimed.subresource)
        if known is None or (aimed.rest and aimed.subresource != "proxy"):
            raise status.page_not_found()
        if aimed.subresource in subresources.NOT_BUILT:
            reason = subresources.NOT_BUILT[aimed.subresource]
            raise status.not_implemented(f"{call.resource}/{aimed.subresource} {reason}")
        handler = subresources.find(aimed.resource, aimed.subresource, aimed.verb)
        if handler is None or aimed.verb not in known.verbs:
            raise status.method_not_allowed()
        return handler

    def _non_resource(self, request: Request) -> Answer:
        if request.method not in ("GET", "HEAD"):
            raise status.page_not_found()
        path = request.path.rstrip("/") or "/"
        if path == "/version":
            return Answer(object=version.INFO)
        if path.split("/")[1] in _HEALTH:
            return self._health(request, path)
        if path in ("/.well-known/openid-configuration", "/openid/v1/jwks"):
            return self._openid(path)
        if path.startswith("/openapi/"):
            return self._schema(request, path)
        return self._discovery(request, path)

    def _health(self, request: Request, path: str) -> Answer:
        checks = {"ping": True, "store": self.core.store.failure is None}
        if path.startswith("/readyz"):
            checks["started"] = self.is_ready
        name = path.partition("z")[2].strip("/")
        if name:
            if name not in checks:
                raise status.page_not_found()
            checks = {name: checks[name]}
        for key, excluded in request.query:
            if key == "exclude":
                checks.pop(excluded, None)
        healthy = all(checks.values())
        if healthy and "verbose" not in dict(request.query):
            return Answer(data=b"ok", content_type="text/plain; charset=utf-8")
        lines = [f"[{'+' if good else '-'}]{check} {'ok' if good else 'failed'}" for check, good in checks.items()]
        lines.append(f"{path.strip('/').partition('/')[0]} check {'passed' if healthy else 'failed'}")
        text = "\n".join(lines) + "\n"
        return Answer(200 if healthy else 500, data=text.encode(), content_type="text/plain; charset=utf-8")

    def _openid(self, path: str) -> Answer:
        if path.endswith("jwks"):
            return Answer(object=self.core.tokens.jwks(), content_type="application/jwk-set+json")
        return Answer(object=self.core.tokens.openid_configuration("/openid/v1/jwks"))

    def _schema(self, request: Request, path: str) -> Answer:
        answer = self._openapi.answer(path, request.headers.get("accept", ""), dict(request.query))
        if answer is None:
            raise status.page_not_found()
        data, content_type, etag = answer
        return _cached(request, data, content_type, etag)

    def _discovery(self, request: Request, path: str) -> Answer:
        answer = discovery.answer(path, request.headers.get("accept", ""), self.core.catalog.resources())
        if answer is None:
            raise status.page_not_found()
        data, content_type, etag = answer
        return _cached(request, data, content_type, etag)


def _is_misplaced(call: Call) -> bool:
    """POST to a name, or PUT, PATCH and DELETE to none; and whatever needs a namespace and has none."""
    verb, name = call.target.verb, call.target.name
    if call.resource.namespaced and not call.namespace:
        return verb not in ("list", "watch", "deletecollection")
    return bool(name) if verb == "create" else not name and verb not in _OF_COLLECTIONS


def _cached(request: Request, data: bytes, content_type: str, etag: str) -> Answer:
    headers = {"etag": etag, "vary": "Accept"}
    if request.headers.get("if-none-match") == etag:
        return Answer(304, data=b"", content_type=content_type, headers=headers)
    return Answer(data=data, content_type=content_type, headers=headers)
