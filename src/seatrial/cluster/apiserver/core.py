"""What every verb works with, and one call to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from seatrial.cluster.apiserver.auth import escalation
from seatrial.cluster.apiserver.auth.authorize import forbidden
from seatrial.cluster.apiserver.auth.rules import Attributes
from seatrial.kube.model import status

if TYPE_CHECKING:
    from seatrial.base.clock import Clock
    from seatrial.cluster.apiserver.allocation import Allocator
    from seatrial.cluster.apiserver.auth.authenticate import Authenticator
    from seatrial.cluster.apiserver.auth.authorize import Authorizer
    from seatrial.cluster.apiserver.auth.tokens import TokenIssuer
    from seatrial.cluster.apiserver.auth.user import User
    from seatrial.cluster.apiserver.catalog import Catalog, Kind
    from seatrial.cluster.apiserver.node import Node
    from seatrial.cluster.apiserver.roles import StoredRoles
    from seatrial.cluster.apiserver.target import Target
    from seatrial.cluster.store.store import Store
    from seatrial.kube.client.transport import Request
    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.resources import Resource

MAX_MANAGER = 128
"""Characters in a field manager's name (upstream's limit)."""


_OPTIONS = {"create": "CreateOptions", "update": "UpdateOptions", "patch": "PatchOptions"}


def attributes(target: Target, verb: str = "") -> Attributes:
    """What authorization is asked about a target."""
    return Attributes(
        verb=verb or target.verb,
        group=target.group,
        version=target.version,
        resource=target.resource,
        subresource=target.subresource,
        namespace=target.namespace,
        name=target.name,
    )


@dataclass(slots=True)
class Core:
    store: Store
    catalog: Catalog
    clock: Clock
    allocator: Allocator
    roles: StoredRoles
    authorizer: Authorizer
    authenticator: Authenticator
    tokens: TokenIssuer
    node: Node | None = None
    """Where real pods run; None: all are simulated."""

    def authorize_verb(self, call: Call, verb: str) -> None:
        """Ask for a second verb that the request turns out to need (create through PUT or apply). Raises 403."""
        asked = attributes(call.target, verb)
        decision = self.authorizer.allowed(call.user, asked)
        if not decision:
            raise forbidden(call.user, asked, decision.reason)

    def authorize_content(self, call: Call, obj: Object, live: Object | None = None) -> None:
        """Nobody grants through a role or binding what they do not hold. Raises 403."""
        if call.resource.group == "rbac.authorization.k8s.io":
            escalation.check(call.user, obj, live, self.authorizer)

    def object(self, resource: str, namespace: str, name: str) -> Object | None:
        """A stored object by its group-resource (`pods`, `roles.rbac.authorization.k8s.io`), or None."""
        entry = self.store.get(resource, namespace, name)
        return entry.object if entry is not None else None


@dataclass(slots=True)
class Call:
    """One authorised request for a resource."""

    request: Request
    target: Target
    kind: Kind
    user: User
    warnings: list[str] = field(default_factory=list)

    @property
    def resource(self) -> Resource:
        return self.kind.resource

    @property
    def namespace(self) -> str:
        return self.target.namespace if self.resource.namespaced else ""

    @property
    def dry_run(self) -> bool:
        asked = [value for key, value in self.request.query if key == "dryRun"]
        if any(value != "All" for value in asked):
            raise status.invalid_options(self.options, status.unsupported_value("dryRun", asked, ["All"]))
        return bool(asked)

    @property
    def manager(self) -> str:
        """The field manager: the parameter, or the User-Agent up to the first slash (as upstream does)."""
        given = self.request.param("fieldManager")
        if not given:
            given = self.request.headers.get("user-agent", "").partition("/")[0][:MAX_MANAGER] or "unknown"
        if len(given) > MAX_MANAGER or not given.isprintable():
            detail = f"must be at most {MAX_MANAGER} printable characters, not {len(given)}"
            raise status.invalid_options(self.options, status.invalid_value("fieldManager", given, detail))
        return given

    @property
    def options(self) -> str:
        """What the request's parameters are called."""
        return _OPTIONS.get(self.target.verb, "DeleteOptions")

    def name_for_errors(self, obj: Object) -> str:
        found: str = obj["metadata"].get("name") or obj["metadata"].get("generateName") or ""
        return found
