"""Status errors: what the API answers when it cannot do what was asked, with code, reason and causes.

Clients branch on `reason`; people read `message`. Source: the API conventions' "Response Status Kind" and
apimachinery's `errors` package (texts as kubectl users know them).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from seatrial.base.errors import SeatrialError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seatrial.kube.model.objects import Object
    from seatrial.kube.model.resources import Resource

MAX_CAUSES = 100
"""Problems told of one object: a hostile one has as many as it has bytes."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One problem in one field. `reason` is a cause type: FieldValueRequired, FieldValueInvalid, ..."""

    reason: str
    message: str
    field: str = ""

    def to_json(self) -> dict[str, str]:
        shown = {"reason": self.reason, "message": self.message}
        return {**shown, "field": self.field} if self.field else shown

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


def required(field: str, detail: str = "") -> Cause:
    return Cause("FieldValueRequired", f"Required value: {detail}" if detail else "Required value", field)


def invalid_value(field: str, value: object, detail: str) -> Cause:
    return Cause("FieldValueInvalid", f"Invalid value: {_quoted(value)}: {detail}", field)


def forbidden_value(field: str, detail: str) -> Cause:
    return Cause("FieldValueForbidden", f"Forbidden: {detail}", field)


def duplicate_value(field: str, value: object) -> Cause:
    return Cause("FieldValueDuplicate", f"Duplicate value: {_quoted(value)}", field)


def unsupported_value(field: str, value: object, supported: Sequence[str], *, as_given: bool = False) -> Cause:
    """The supported values are shown in the order of the alphabet, unless they have one of their own."""
    shown = ", ".join(f'"{item}"' for item in (supported if as_given else sorted(supported)))
    return Cause("FieldValueNotSupported", f"Unsupported value: {_quoted(value)}: supported values: {shown}", field)


def _quoted(value: object) -> str:
    import orjson

    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return f'"{value}"'


class StatusError(SeatrialError):
    """An API failure: becomes a `Status` object on the wire, and is made again from one by the client."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message, reason=reason)
        self.code = code
        self.details = details or {}
        self.shows_details = details is not None
        self.headers = headers or {}
        self.metadata = metadata or {}

    def to_object(self) -> Object:
        status: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": self.metadata,
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
        }
        if self.shows_details:
            status["details"] = self.details
        status["code"] = self.code
        return status

    @classmethod
    def from_object(cls, status: Object, code: int) -> StatusError:
        """The error a server's `Status` (or any other body of a failed request) describes."""
        return cls(
            int(status.get("code") or code),
            status.get("reason") or "Unknown",
            status.get("message") or f"the server answered {code}",
            details=status.get("details"),
            metadata=status.get("metadata"),
        )


def _details(resource: Resource | None, name: str = "", **more: object) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name} if name else {}
    if resource is not None:
        if resource.group:
            found["group"] = resource.group
        found["kind"] = resource.plural
    found.update({key: value for key, value in more.items() if value})
    return found


def not_found(resource: Resource, name: str) -> StatusError:
    return StatusError(404, "NotFound", f'{resource} "{name}" not found', details=_details(resource, name))


def page_not_found() -> StatusError:
    return StatusError(404, "NotFound", "the server could not find the requested resource", details={})


def already_exists(resource: Resource, name: str, circumstance: str = "") -> StatusError:
    text = f'{resource} "{name}" already exists'
    shown = f"{circumstance}: {text}" if circumstance else text
    return StatusError(409, "AlreadyExists", shown, details=_details(resource, name))


def conflict(resource: Resource, name: str, detail: str = "") -> StatusError:
    text = detail or ("the object has been modified; please apply your changes to the latest version and try again")
    return StatusError(
        409,
        "Conflict",
        f'Operation cannot be fulfilled on {resource} "{name}": {text}',
        details=_details(resource, name),
    )


def invalid(group: str, kind: str, name: str, causes: Sequence[Cause]) -> StatusError:
    """422: the object was understood and breaks the rules in `causes`, of which the first hundred are told."""
    shown = [str(cause) for cause in causes[:MAX_CAUSES]]
    if len(causes) > MAX_CAUSES:
        shown.append(f"and {len(causes) - MAX_CAUSES} more")
    text = shown[0] if len(shown) == 1 else "[" + ", ".join(shown) + "]"
    details: dict[str, Any] = {"name": name} if name else {}
    if group:
        details["group"] = group
    details |= {"kind": kind, "causes": [cause.to_json() for cause in causes[:MAX_CAUSES]]}
    subject = f"{kind}.{group}" if group else kind
    return StatusError(422, "Invalid", f'{subject} "{name}" is invalid: {text}', details=details)


def invalid_options(kind: str, *causes: Cause) -> StatusError:
    """422 for the parameters of a request: `CreateOptions`, `PatchOptions` and so on."""
    return invalid("meta.k8s.io", kind, "", causes)


def bad_request(message: str) -> StatusError:
    return StatusError(400, "BadRequest", message)


def unauthorized() -> StatusError:
    return StatusError(401, "Unauthorized", "Unauthorized")


def forbidden(
    message: str, resource: Resource | None = None, name: str = "", causes: Sequence[Cause] = ()
) -> StatusError:
    details = _details(resource, name, causes=[cause.to_json() for cause in causes])
    return StatusError(403, "Forbidden", message, details=details)


def method_not_allowed() -> StatusError:
    text = "the server does not allow this method on the requested resource"
    return StatusError(405, "MethodNotAllowed", text, details={})


def not_acceptable(accepted: Sequence[str]) -> StatusError:
    return StatusError(
        406,
        "NotAcceptable",
        "only the following media types are accepted: " + ", ".join(accepted),
    )


def unsupported_media_type(given: str, accepted: Sequence[str]) -> StatusError:
    return StatusError(
        415,
        "UnsupportedMediaType",
        f"the body of the request was in an unknown format - accepted media types include: "
        f"{', '.join(accepted)} (got {given or 'none'})",
    )


def expired(message: str, continue_token: str = "") -> StatusError:
    """410: the resourceVersion or continue token is older than what the server remembers."""
    return StatusError(410, "Expired", message, metadata={"continue": continue_token} if continue_token else None)


def too_large_resource_version(asked: int, current: int) -> StatusError:
    """504 Timeout with cause ResourceVersionTooLarge: clients wait a second and ask again."""
    return StatusError(
        504,
        "Timeout",
        f"Timeout: Too large resource version: {asked}, current: {current}",
        details={
            "retryAfterSeconds": 1,
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        },
    )


def too_many_requests(message: str, retry_after: int, causes: Sequence[Cause] = ()) -> StatusError:
    """429; with `retry_after` 0 it is left to the client whether it tries again, and when."""
    details: dict[str, Any] = {"causes": [cause.to_json() for cause in causes]} if causes else {}
    if retry_after:
        details["retryAfterSeconds"] = retry_after
    return StatusError(429, "TooManyRequests", message, details=details)


def too_large(limit: int) -> StatusError:
    return StatusError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {limit}")


def internal_error(message: str) -> StatusError:
    return StatusError(
        500,
        "InternalError",
        f"Internal error occurred: {message}",
        details={"causes": [{"message": message}]},
    )


def not_implemented(message: str) -> StatusError:
    return StatusError(501, "NotImplemented", message)
