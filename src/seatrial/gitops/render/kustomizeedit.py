"""The settings of `kustomize:` in an Application, written into a kustomization as `kustomize edit` would. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from seatrial.gitops.render.request import RenderFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TAG = re.compile(r"(.*):([a-zA-Z0-9._-]*|\*)", re.DOTALL)
_AS_IT_WAS = "*"


def components(settings: Mapping[str, Any]) -> list[str]:
    return [str(each) for each in settings.get("components") or ()]


def edited(
    kustomization: Mapping[str, Any],
    settings: Mapping[str, Any],
    added_components: list[str],
    substituted: Callable[[str], str],
) -> dict[str, Any]:
    """A new kustomization. Raises RenderFailed."""
    result = dict(kustomization)
    for field in ("namePrefix", "nameSuffix", "namespace"):
        if settings.get(field):
            result[field] = settings[field]
    if settings.get("images"):
        result["images"] = _images(_entries(result, "images"), [substituted(str(each)) for each in settings["images"]])
    if settings.get("replicas"):
        result["replicas"] = _replicas(_entries(result, "replicas"), settings["replicas"])
    _label(result, settings, substituted)
    _annotate(result, settings, substituted)
    if settings.get("patches"):
        result["patches"] = [*_entries(result, "patches"), *(_patch(patch) for patch in settings["patches"])]
    if added_components:
        held = list(result.get("components") or ())
        result["components"] = held + [each for each in added_components if each not in held]
    return result


def _entries(kustomization: Mapping[str, Any], field: str) -> list[dict[str, Any]]:
    held = kustomization.get(field) or []
    if not isinstance(held, list) or not all(isinstance(entry, dict) for entry in held):
        raise RenderFailed(f"kustomization: {field}: expected a list of objects")
    return held


def _images(held: list[dict[str, Any]], wanted: list[str]) -> list[dict[str, Any]]:
    """`name:tag`, `name@digest`, `name=new`, `name=new:tag`; `*` keeps what the kustomization says."""
    chosen = {image["name"]: image for image in map(_image, wanted)}
    known = {image.get("name"): image for image in held}
    result = [image for image in held if image.get("name") not in chosen]
    for name, image in chosen.items():
        before = known.get(name) or {}
        kept = {key: before.get(key) if value == _AS_IT_WAS else value for key, value in image.items()}
        result.append({key: value for key, value in kept.items() if value})
    return sorted(result, key=lambda image: str(image.get("name")))


def _image(text: str) -> dict[str, str]:
    name, equals, over = text.partition("=")
    new, tag, digest = _reference(over if equals else text)
    named = {"name": name, "newName": new} if equals else {"name": new}
    if not named["name"]:
        raise RenderFailed(f"kustomize.images: {text!r}: expected name:tag, name@digest or name=newName:tag")
    return {**named, "newTag": tag, "digest": digest}


def _reference(text: str) -> tuple[str, str, str]:
    rest, _, digest = text.partition("@")
    match = _TAG.fullmatch(rest)
    return (match.group(1), match.group(2), digest) if match else (rest, "", digest)


def _replicas(held: list[dict[str, Any]], wanted: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    chosen: dict[str, int] = {}
    for entry in wanted:
        try:
            chosen[str(entry["name"])] = int(entry["count"])
        except (KeyError, TypeError, ValueError):
            raise RenderFailed("kustomize.replicas: expected entries with name and count, a number") from None
    rest = [entry for entry in held if entry.get("name") not in chosen]
    return [*rest, *({"name": name, "count": count} for name, count in chosen.items())]


def _label(result: dict[str, Any], settings: Mapping[str, Any], substituted: Callable[[str], str]) -> None:
    wanted = {key: substituted(str(value)) for key, value in (settings.get("commonLabels") or {}).items()}
    if not wanted:
        return
    if settings.get("labelWithoutSelector"):
        entry: dict[str, Any] = {"pairs": wanted, "includeSelectors": False}
        if settings.get("labelIncludeTemplates"):
            entry["includeTemplates"] = True
        held = _entries(result, "labels")
        if not settings.get("forceCommonLabels"):
            _refuse_repeated("labels", wanted, {key for each in held for key in each.get("pairs") or {}})
        else:
            held = [{**each, "pairs": _without(each.get("pairs"), wanted)} for each in held]
        result["labels"] = [each for each in held if each.get("pairs")] + [entry]
        return
    if settings.get("labelIncludeTemplates"):
        raise RenderFailed("kustomize.labelIncludeTemplates: expected labelWithoutSelector beside it")
    result["commonLabels"] = _over(result, "commonLabels", wanted, bool(settings.get("forceCommonLabels")))


def _annotate(result: dict[str, Any], settings: Mapping[str, Any], substituted: Callable[[str], str]) -> None:
    change = substituted if settings.get("commonAnnotationsEnvsubst") else str
    wanted = {key: change(str(value)) for key, value in (settings.get("commonAnnotations") or {}).items()}
    if wanted:
        force = bool(settings.get("forceCommonAnnotations"))
        result["commonAnnotations"] = _over(result, "commonAnnotations", wanted, force)


def _over(result: Mapping[str, Any], field: str, wanted: dict[str, str], force: bool) -> dict[str, Any]:
    held = result.get(field) or {}
    if not isinstance(held, dict):
        raise RenderFailed(f"kustomization: {field}: expected an object")
    if not force:
        _refuse_repeated(field, wanted, set(held))
    return {**held, **wanted}


def _refuse_repeated(field: str, wanted: Mapping[str, str], held: set[str]) -> None:
    repeated = sorted(held & set(wanted))
    if repeated:
        flag = "forceCommonAnnotations" if field == "commonAnnotations" else "forceCommonLabels"
        raise RenderFailed(
            f"kustomize.{field}: {', '.join(repeated)}: in the kustomization already: "
            f"set kustomize.{flag} to replace what it says"
        )


def _without(pairs: Any, names: Mapping[str, str]) -> dict[str, Any]:
    return {key: value for key, value in (pairs or {}).items() if key not in names}


def _patch(patch: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in patch.items() if value is not None}
