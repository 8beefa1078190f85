"""patch: JSON patch, merge patch, strategic merge patch and server-side apply."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from seatrial.base.clock import rfc3339
from seatrial.cluster.apiserver import writing
from seatrial.cluster.apiserver.verbs import create, update
from seatrial.kube.model import objects, status
from seatrial.kube.model.patch import json_patch, merge, strategic
from seatrial.kube.model.patch.apply import managed
from seatrial.kube.model.schema import decode
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from seatrial.cluster.apiserver.answer import Answer
    from seatrial.cluster.apiserver.core import Call, Core
    from seatrial.cluster.store.entry import Entry
    from seatrial.kube.model.objects import Object

JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
PATCH_TYPES = (JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH)


async def patch(core: Core, call: Call) -> Answer:
    kind = writing.media_type(call.request)
    if kind == APPLY_PATCH:
        return await _apply(core, call)
    accepted = [t for t in PATCH_TYPES if t != STRATEGIC_PATCH or call.kind.custom is None]
    if kind not in accepted:
        raise status.unsupported_media_type(kind, accepted)
    if call.request.flag("force") is not None:
        cause = status.forbidden_value("force", "may not be specified for non-apply patch")
        raise status.invalid("meta.k8s.io", "PatchOptions", "", [cause])
    entry = core.store.get(call.kind.key, call.namespace, call.target.name)
    if entry is None:
        raise status.not_found(call.resource, call.target.name)
    obj = patched(call, call.kind.served(entry.object), kind)
    _check_identity(call, obj)
    _check_uid(call, obj, entry.object)
    if call.namespace:
        obj["metadata"]["namespace"] = call.namespace
    call.warnings += _clean(call, obj, kind)
    return await update.replace(core, call, entry, obj)


def _clean(call: Call, obj: Object, kind: str) -> list[str]:
    """Prune and type-check what a patch made; returns warnings. Raises 422 under Strict: it is the patch that errs."""
    mode = writing.field_validation(call)
    body = call.request.body
    problems: list[str] = []
    if mode != "Ignore" and kind != JSON_PATCH and isinstance(body, bytes):
        problems += decode.duplicate_fields(body)
    given = _text(obj) if mode == "Strict" and kind != STRATEGIC_PATCH else ""
    problems += writing.clean(obj, call.kind, (), "Warn" if mode == "Strict" else mode)
    if problems and mode == "Strict":
        shown = given or _as_go_prints(body if isinstance(body, dict) else orjson.loads(body or b""))
        cause = status.invalid_value("patch", shown, f"strict decoding error: {', '.join(problems)}")
        raise StatusError(422, "Invalid", f' "" is invalid: {cause}', details={"causes": [cause.to_json()]})
    return problems


def _text(obj: Object) -> str:
    try:
        return orjson.dumps(obj).decode()
    except orjson.JSONEncodeError:
        raise status.bad_request("the object is nested too deeply") from None


def _as_go_prints(value: object) -> str:
    """A patch as upstream shows it in a message: `map[spec:map[replicas:1]]`."""
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{_as_go_prints(item)}' for key, item in sorted(value.items()))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(_as_go_prints, value))}]"
    if value is None or isinstance(value, bool):
        return "<nil>" if value is None else str(value).lower()
    return str(value)


def patched(call: Call, live: Object, kind: str) -> Object:
    """A new object: `live` with the body's patch of a media type applied. Raises 400, 415 or 422."""
    body = call.request.body
    document = writing.load_json(body) if isinstance(body, bytes) else body
    if kind == JSON_PATCH:
        if not isinstance(document, list):
            raise status.bad_request("a JSON patch must be a list of operations")
        result = json_patch.apply(objects.clone(live), document)
    else:
        if not isinstance(document, dict):
            raise status.bad_request("a merge patch must be a JSON object")
        if kind == MERGE_PATCH:
            result = merge.apply(objects.clone(live), document)
        else:
            result = strategic.apply(objects.clone(live), objects.clone(document), call.kind.type)
    if not isinstance(result, dict):
        raise status.bad_request("the patch leaves something that is not an object")
    return result


def _check_identity(call: Call, obj: Object) -> None:
    """A patch may not change which object this is. Raises 400."""
    writing.check_kind(obj, call.kind)
    metadata = obj["metadata"]
    if metadata.get("name") != call.target.name:
        raise status.bad_request(
            f"the name of the object ({metadata.get('name')}) does not match the name on the URL ({call.target.name})"
        )
    if call.namespace and metadata.get("namespace") not in (None, "", call.namespace):
        raise status.bad_request(
            f"the namespace of the object ({metadata.get('namespace')}) does not match the namespace on the URL "
            f"({call.namespace})"
        )


def _check_uid(call: Call, obj: Object, live: Object) -> None:
    """A PUT with another uid means another object, a patch with one wants to change it. Raises 422."""
    uid = objects.uid(obj)
    if uid and uid != objects.uid(live):
        cause = status.invalid_value("metadata.uid", uid, "field is immutable")
        raise status.invalid(call.resource.group, call.resource.kind, call.target.name, [cause])


async def _apply(core: Core, call: Call) -> Answer:
    config, duplicates = _config(call)
    call.warnings += writing.clean(config, call.kind, duplicates, writing.field_validation(call))
    entry = core.store.get(call.kind.key, call.namespace, call.target.name)
    if entry is None:
        return await _create_applied(core, call, config)
    return await _update_applied(core, call, entry, config)


def _config(call: Call) -> tuple[Object, list[str]]:
    """The applied configuration, and the duplicate fields found in it."""
    if not call.request.param("fieldManager"):
        cause = status.required("fieldManager", "is required for apply patch")
        raise status.invalid("meta.k8s.io", "PatchOptions", "", [cause])
    body = call.request.body
    duplicates: list[str] = []
    config = decode.load_yaml(body, duplicates) if isinstance(body, bytes) else objects.clone(body or {})
    if not isinstance(config, dict):
        raise status.bad_request("the applied configuration must be an object")
    if not config.get("apiVersion") or not config.get("kind"):
        raise status.bad_request("the applied configuration must have apiVersion and kind")
    writing.check_kind(config, call.kind)
    metadata = config["metadata"]
    if metadata.get("managedFields"):
        raise status.bad_request("metadata.managedFields must be nil")
    metadata.setdefault("name", call.target.name)
    _check_identity(call, config)
    return config, duplicates


def _forced(call: Call) -> bool:
    return bool(call.request.flag("force"))


def _leave_out_reset_fields(call: Call, config: Object) -> None:
    """What this path does not write is not applied, so that nobody comes to own it: KEP-555's reset fields."""
    if call.target.subresource == "status":
        for field in [key for key in config if key not in ("apiVersion", "kind", "metadata", "status")]:
            del config[field]
    elif call.kind.has_subresource("status"):
        config.pop("status", None)


async def _create_applied(core: Core, call: Call, config: Object) -> Answer:
    if call.target.subresource or config["metadata"].get("resourceVersion"):
        raise status.not_found(call.resource, call.target.name)
    if config["metadata"].get("uid"):
        detail = f"Precondition failed: UID in precondition: {config['metadata']['uid']}, UID in object meta: "
        raise status.conflict(call.resource, call.target.name, detail)
    core.authorize_verb(call, "create")
    _leave_out_reset_fields(call, config)
    obj = managed.apply(
        None,
        config,
        call.kind.type,
        manager=call.manager,
        force=_forced(call),
        subresource="",
        now=rfc3339(core.clock.time()),
    )
    create.place(call, obj)
    return await create.insert(core, call, obj, applied=True)


async def _update_applied(core: Core, call: Call, entry: Entry, config: Object) -> Answer:
    live = call.kind.served(entry.object)
    update.check_preconditions(call, live, config["metadata"])
    for field in ("resourceVersion", "uid"):
        config["metadata"].pop(field, None)
    _leave_out_reset_fields(call, config)
    obj = managed.apply(
        live,
        config,
        call.kind.type,
        manager=call.manager,
        force=_forced(call),
        subresource=call.target.subresource,
        now=rfc3339(core.clock.time()),
    )
    return await update.replace(core, call, entry, obj, applied=True)
