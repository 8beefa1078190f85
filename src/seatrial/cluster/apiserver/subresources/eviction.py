"""pods/eviction: delete a pod if its PodDisruptionBudget allows it. Rules: research section 3.5 (KEP-85, KEP-3017).

The budget's status is written by the disruption controller; each eviction takes one of the allowed disruptions
and remembers the pod, so that concurrent evictions cannot overdraw.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from seatrial.base.clock import rfc3339
from seatrial.cluster.apiserver import writing
from seatrial.cluster.apiserver.answer import Answer
from seatrial.cluster.apiserver.verbs import delete
from seatrial.cluster.apiserver.verbs.update import check_preconditions
from seatrial.kube.model import conditions, objects, selectors, status
from seatrial.kube.model.status import Cause

if TYPE_CHECKING:
    from seatrial.cluster.apiserver.core import Call, Core
    from seatrial.cluster.store.entry import Entry
    from seatrial.kube.model.objects import Object

_BUDGETS = "poddisruptionbudgets.policy"
_RETRY_SECONDS = 10
_MAX_DISRUPTED = 2000
"""Pods remembered in status.disruptedPods (upstream's limit)."""


async def create(core: Core, call: Call) -> Answer:
    body = writing.typed_body(call.request, "policy/v1", "Eviction")
    writing.check_name(body, "Eviction", call.target.name)
    entry = core.store.get("pods", call.namespace, call.target.name)
    if entry is None:
        raise status.not_found(call.resource, call.target.name)
    chosen = _options(call, body)
    check_preconditions(call, entry.object, chosen.preconditions)
    budget = None if _needs_no_budget(entry.object) else _budget(core, call, entry.object)
    if budget is not None and not chosen.dry_run:
        _take(core, budget, entry.object)
    elif budget is not None:
        _check(budget.object, entry.object)
    if not chosen.dry_run:
        entry, chosen = _marked(core, entry), replace(chosen, preconditions={})
    await delete.remove(core, call, entry, chosen)
    return Answer(201, object={"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})


def _marked(core: Core, entry: Entry) -> Entry:
    """The pod says why it ends (KEP-3329), so that its Job can tell an eviction from a failure."""
    pod = objects.clone(entry.object)
    found = pod.setdefault("status", {}).setdefault("conditions", [])
    now = rfc3339(core.clock.time())
    generation = pod["metadata"].get("generation")
    observed = {"observedGeneration": generation} if generation else {}
    conditions.set_condition(
        found, "DisruptionTarget", "True", "EvictionByEvictionAPI", "Eviction API: evicting", now, **observed
    )
    return core.store.update("pods", entry.namespace, entry.name, pod, entry.revision)


def _options(call: Call, body: Object) -> delete.Options:
    given = body.get("deleteOptions") or {}
    return delete.Options(
        grace=delete.allowed_grace(given.get("gracePeriodSeconds")),
        propagation=given.get("propagationPolicy") or "",
        preconditions=given.get("preconditions") or {},
        dry_run=bool(given.get("dryRun")) or call.dry_run,
    )


def _needs_no_budget(pod: Object) -> bool:
    phase = pod.get("status", {}).get("phase")
    return objects.is_deleting(pod) or phase in ("Pending", "Succeeded", "Failed")


def _budget(core: Core, call: Call, pod: Object) -> Entry | None:
    """The one budget that may forbid the eviction, or None. Raises 500 if there are several."""
    matching = [
        entry
        for entry in core.store.list(_BUDGETS, call.namespace)
        if selectors.from_object(entry.object["spec"].get("selector")).matches(objects.labels(pod))
    ]
    if len(matching) > 1:
        raise status.internal_error(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        )
    if not matching:
        return None
    return None if _is_free(matching[0].object, pod) else matching[0]


def _is_free(budget: Object, pod: Object) -> bool:
    """An unready pod does not count against the budget where the policy says so."""
    if conditions.is_true(pod, "Ready"):
        return False
    if budget["spec"].get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    found = budget.get("status", {})
    return bool(found.get("currentHealthy", 0) >= found.get("desiredHealthy", 0) > 0)


def _check(budget: Object, pod: Object) -> None:
    found = budget.get("status") or {}
    name = objects.name(budget)
    if found.get("observedGeneration", 0) < budget["metadata"].get("generation", 0):
        cause = Cause("DisruptionBudget", f"The disruption budget {name} is still being processed by the server.")
        raise status.too_many_requests(
            "Cannot evict pod as it would violate the pod's disruption budget.", _RETRY_SECONDS, [cause]
        )
    if found.get("disruptionsAllowed", 0) < 1:
        text = (
            f"The disruption budget {name} needs {found.get('desiredHealthy', 0)} healthy pods and has "
            f"{found.get('currentHealthy', 0)} currently"
        )
        raise status.too_many_requests(
            "Cannot evict pod as it would violate the pod's disruption budget.",
            0,
            [Cause("DisruptionBudget", text)],
        )
    if len(found.get("disruptedPods") or {}) > _MAX_DISRUPTED:
        raise status.forbidden(
            f"DisruptedPods map of {name} too big: too many evictions not confirmed by the controller"
        )


def _take(core: Core, budget: Entry, pod: Object) -> None:
    _check(budget.object, pod)
    changed = objects.clone(budget.object)
    changed["status"]["disruptionsAllowed"] -= 1
    now = rfc3339(core.clock.time())
    changed["status"].setdefault("disruptedPods", {})[objects.name(pod)] = now
    core.store.update(_BUDGETS, budget.namespace, budget.name, changed, budget.revision)
