"""What a sync leaves as it is live: the replicas of what an autoscaler scales, and ignored fields where asked for.

A field that is left out of an apply would be dropped, or defaulted: so the live value is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.gitops.diff.normalise import as_managed, remove
from seatrial.gitops.diff.sandbox import ScriptFailed
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from seatrial.gitops.diff.rules import ObjectRules, Rules
    from seatrial.gitops.diff.sandbox import Sandbox
    from seatrial.kube.model.objects import Object


def keep_scaled(target: Object, live: Object, rules: Rules) -> Object:
    """The target with the live number of replicas, if an autoscaler sets it."""
    if not rules.of_object(target).ignores_replicas or not isinstance(target.get("spec"), dict):
        return target
    replicas = (live.get("spec") or {}).get("replicas")
    if replicas is None or "replicas" not in target["spec"]:
        return target
    return {**target, "spec": {**target["spec"], "replicas": replicas}}


def keep_ignored(target: Object, live: Object, rules: Rules, sandbox: Sandbox | None = None) -> Object:
    """RespectIgnoreDifferences: the target with the live values of all that is ignored, but for the status.

    Raises SandboxFailed.
    """
    chosen = rules.of_object(target)
    if not chosen.ignores_anything:
        return target
    kept = _kept(_cut(target, chosen, sandbox), live, _cut(live, chosen, sandbox))
    made: Object = as_managed(kept, live, chosen.managers)
    status = {"status": target["status"]} if "status" in target else {}
    return {**{key: value for key, value in made.items() if key != "status"}, **status}


def _cut(obj: Object, rules: ObjectRules, sandbox: Sandbox | None) -> Object:
    """Without what is ignored, and otherwise as it is."""
    made = objects.clone(obj)
    if rules.ignores_replicas:
        remove(made, "/spec/replicas")
    for pointer in rules.pointers:
        remove(made, pointer)
    for expression in rules.jq if sandbox is not None else ():
        try:
            made = sandbox.delete_by_jq(expression, made)  # type: ignore[union-attr]
        except ScriptFailed:
            continue
    return made


def _kept(target: Any, live: Any, cut: Any) -> Any:
    """`target` with whatever is in `live` and not in `cut`."""
    if live == cut:
        return target
    if isinstance(live, dict) and isinstance(cut, dict):
        made = dict(target) if isinstance(target, dict) else {}
        for key, value in live.items():
            if key not in cut:
                made[key] = value
            elif value != cut[key]:
                made[key] = _kept(made.get(key), value, cut[key])
        return made
    if isinstance(live, list) and isinstance(cut, list) and isinstance(target, list):
        return _kept_items(target, live, cut)
    return live


def _kept_items(target: list[Any], live: list[Any], cut: list[Any]) -> list[Any]:
    """Items are told apart by name where they have one, else by place; whole lists where neither will do."""
    if all(isinstance(item, dict) and "name" in item for item in (*target, *live, *cut)):
        ours = {item["name"]: item for item in target}
        rest = {item["name"]: item for item in cut}
        for item in live:
            name = item["name"]
            if name not in rest:
                ours[name] = item
            elif name in ours:
                ours[name] = _kept(ours[name], item, rest[name])
        return list(ours.values())
    if len(live) == len(cut):
        pairs = list(zip(live, cut, strict=True))
        return [_kept(item, *pairs[place]) if place < len(pairs) else item for place, item in enumerate(target)]
    return live
