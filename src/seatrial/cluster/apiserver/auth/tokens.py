"""Service-account tokens: what is in one, and the `serviceaccounts/token` sub-resource that hands them out.

`jws.py` signs and checks signatures. `authenticate.py` asks, for a token that is valid here, whether the objects
it names still exist.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from seatrial.base.clock import rfc3339
from seatrial.cluster.apiserver.auth.jws import SigningKey
from seatrial.cluster.apiserver.auth.user import service_account_name
from seatrial.kube.model import objects, status

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from seatrial.base.clock import Clock
    from seatrial.kube.model.objects import Object

ISSUER = "https://kubernetes.default.svc.cluster.local"
PRIVATE = "kubernetes.io"
"""The claim that holds everything of Kubernetes' own."""

LEEWAY = 60.0
"""Seconds by which two clocks may differ before a token counts as expired or not yet valid."""

DEFAULT_SECONDS = 3600
MIN_SECONDS = 600
MAX_SECONDS = 1 << 32

_GROUP = "authentication.k8s.io"
_BOUND_KINDS = {"Pod": "pods", "Secret": "secrets", "Node": "nodes"}


class TokenIssuer:
    """Issues and checks service-account tokens with one key."""

    def __init__(self, key_pem: bytes, *, clock: Clock, issuer: str = ISSUER, audiences: Sequence[str] = ()) -> None:
        self._key = SigningKey(key_pem)
        self._clock = clock
        self.issuer = issuer
        self.audiences = tuple(audiences) or (issuer,)
        """What a token must be meant for to be accepted by this API server; the default of new tokens."""

    def issue(
        self,
        namespace: str,
        service_account: Object,
        audiences: Sequence[str] = (),
        seconds: int = DEFAULT_SECONDS,
        bound: Object | None = None,
        now: float | None = None,
        *,
        node: Object | None = None,
    ) -> tuple[str, float]:
        """A token and when it expires. It dies earlier with `bound` (a Pod, Secret or Node).

        `node` is where a bound Pod runs: told to the token's reader, not a condition of validity.
        """
        issued = int(self._clock.time() if now is None else now)
        claims = {
            "aud": list(audiences) or list(self.audiences),
            "exp": issued + seconds,
            "iat": issued,
            "iss": self.issuer,
            "jti": str(uuid.uuid4()),
            PRIVATE: _private_claims(namespace, service_account, bound, node),
            "nbf": issued,
            "sub": service_account_name(namespace, objects.name(service_account)),
        }
        return self._key.sign(claims), float(issued + seconds)

    def verify(self, token: str, audiences: Collection[str] = (), now: float | None = None) -> dict[str, Any] | None:
        """The claims of a token of ours, meant for one of `audiences` (this server's by default) and valid now."""
        claims = self._key.verify(token)
        if claims is None or claims.get("iss") != self.issuer or not well_formed(claims):
            return None
        if not set(claims["aud"]) & set(audiences or self.audiences):
            return None
        return claims if timely(claims, self._clock.time() if now is None else now) else None

    def openid_configuration(self, jwks_uri: str) -> dict[str, Any]:
        """The document at `/.well-known/openid-configuration`."""
        return {
            "issuer": self.issuer,
            "jwks_uri": jwks_uri,
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [self._key.jwk()["alg"]],
        }

    def jwks(self) -> dict[str, Any]:
        """The document at `/openid/v1/jwks`."""
        return {"keys": [self._key.jwk()]}


def _private_claims(
    namespace: str, service_account: Object, bound: Object | None, node: Object | None
) -> dict[str, Any]:
    claims: dict[str, Any] = {"namespace": namespace, "serviceaccount": _reference(service_account)}
    if bound is not None:
        claims[bound["kind"].lower()] = _reference(bound)
    if node is not None:
        claims["node"] = _reference(node)
    return claims


def _reference(obj: Object) -> dict[str, str]:
    reference = {"name": objects.name(obj), "uid": objects.uid(obj)}
    return {key: value for key, value in reference.items() if value}


def well_formed(claims: dict[str, Any]) -> bool:
    """Every claim later code reads has the type it relies on, and the subject is the account named inside."""
    private = claims.get(PRIVATE)
    if not isinstance(private, dict) or not isinstance(private.get("namespace"), str):
        return False
    references = [private.get(key) for key in ("serviceaccount", "pod", "secret", "node")]
    if references[0] is None or not all(_is_reference(item) for item in references if item is not None):
        return False
    audiences = claims.get("aud")
    return (
        isinstance(audiences, list)
        and all(isinstance(item, str) for item in audiences)
        and all(_is_number(claims.get(key)) for key in ("exp", "iat", "nbf"))
        and isinstance(claims.get("jti"), str)
        and claims.get("sub") == service_account_name(private["namespace"], references[0]["name"])
    )


def _is_reference(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("name"), str) and isinstance(value.get("uid", ""), str)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def timely(claims: dict[str, Any], now: float) -> bool:
    """Not expired, not from the future, give or take `LEEWAY`."""
    return bool(now - LEEWAY <= claims["exp"] and max(claims["nbf"], claims["iat"]) <= now + LEEWAY)


def token_request(
    body: Object,
    *,
    service_account: Object,
    issuer: TokenIssuer,
    lookup: Callable[[str, str, str], Object | None],
    now: float,
) -> Object:
    """Answer a TokenRequest for an account that exists. `lookup` takes plural, namespace and name.

    Raises StatusError: 422 for a bad spec, 404 or 409 if the bound object is gone or is another one.
    """
    namespace, name = objects.namespace(service_account), objects.name(service_account)
    _check_metadata(objects.metadata(body), service_account)
    spec = body.get("spec") or {}
    audiences = _audiences(spec) or list(issuer.audiences)
    seconds = _seconds(spec)
    bound = _bound_object(spec.get("boundObjectRef"), service_account, lookup)
    token, _ = issuer.issue(namespace, service_account, audiences, seconds, bound, now, node=_node_of(bound, lookup))
    answer = objects.clone(body)
    answer["apiVersion"], answer["kind"] = f"{_GROUP}/v1", "TokenRequest"
    answer["metadata"] = objects.metadata(answer) | {
        "name": name,
        "namespace": namespace,
        "uid": objects.uid(service_account),
        "creationTimestamp": rfc3339(now),
    }
    answer["spec"] = spec | {"audiences": audiences, "expirationSeconds": seconds}
    answer["status"] = {"token": token, "expirationTimestamp": rfc3339(int(now) + seconds)}
    return answer


def _check_metadata(given: dict[str, Any], service_account: Object) -> None:
    """What the body says about its account must be true of the account in the URL."""
    for field in ("name", "namespace"):
        expected = objects.metadata(service_account).get(field)
        if given.get(field) and given[field] != expected:
            detail = f"must match the service account {field} if specified"
            cause = status.invalid_value(f"metadata.{field}", given[field], detail)
            raise status.invalid(_GROUP, "TokenRequest", objects.name(service_account), [cause])
    expected = objects.uid(service_account)
    if given.get("uid") and given["uid"] != expected:
        raise _conflict(
            f"TokenRequest.{_GROUP}",
            objects.name(service_account),
            f"the UID in the token request ({given['uid']}) does not match the UID of the service account ({expected})",
        )


def _audiences(spec: dict[str, Any]) -> list[str]:
    audiences = spec.get("audiences") or []
    if not isinstance(audiences, list) or not all(isinstance(item, str) for item in audiences):
        cause = status.invalid_value("spec.audiences", audiences, "must be a list of strings")
        raise status.invalid(_GROUP, "TokenRequest", "", [cause])
    return audiences


def _seconds(spec: dict[str, Any]) -> int:
    seconds = spec.get("expirationSeconds")
    if seconds is None:
        return DEFAULT_SECONDS
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        detail = "must be an integer"
    elif seconds < MIN_SECONDS:
        detail = "may not specify a duration less than 10 minutes"
    elif seconds > MAX_SECONDS:
        detail = "may not specify a duration larger than 2^32 seconds"
    else:
        return seconds
    cause = status.invalid_value("spec.expirationSeconds", seconds, detail)
    raise status.invalid(_GROUP, "TokenRequest", "", [cause])


def _bound_object(
    reference: Any,
    service_account: Object,
    lookup: Callable[[str, str, str], Object | None],
) -> Object | None:
    if not reference:
        return None
    if not isinstance(reference, dict):
        raise status.bad_request("spec.boundObjectRef of a TokenRequest must be an object")
    kind, name = reference.get("kind", ""), reference.get("name", "")
    plural = _BOUND_KINDS.get(kind) if reference.get("apiVersion", "v1") == "v1" else None
    if plural is None:
        raise status.bad_request(f"cannot bind token to object of type {reference.get('apiVersion')}, Kind={kind}")
    namespace = "" if kind == "Node" else objects.namespace(service_account)
    found = lookup(plural, namespace, name)
    if found is None:
        message = f'{plural} "{name}" not found'
        raise status.StatusError(404, "NotFound", message, details={"name": name, "kind": plural})
    account = objects.name(service_account)
    if kind == "Pod" and (found.get("spec") or {}).get("serviceAccountName") != account:
        raise status.bad_request(
            f'cannot bind token for serviceaccount "{account}" to pod running with different serviceaccount name.'
        )
    if reference.get("uid") and reference["uid"] != objects.uid(found):
        detail = (
            f"the UID in the bound object reference ({reference['uid']}) does not match the UID in record. "
            "The object might have been deleted and then recreated"
        )
        raise _conflict(kind, name, detail)
    return {"kind": kind, **found}


def _node_of(bound: Object | None, lookup: Callable[[str, str, str], Object | None]) -> Object | None:
    """The node a bound pod runs on; known by name alone if the Node object is missing."""
    if bound is None or bound["kind"] != "Pod":
        return None
    name = (bound.get("spec") or {}).get("nodeName")
    return (lookup("nodes", "", name) or {"metadata": {"name": name}}) if name else None


def _conflict(subject: str, name: str, detail: str) -> status.StatusError:
    message = f'Operation cannot be fulfilled on {subject} "{name}": {detail}'
    return status.StatusError(409, "Conflict", message, details={"name": name})
