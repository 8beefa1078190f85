"""The simulated runtime: pods become ready after a set delay, and no process runs.

For previews, scale tests, controller tests and machines where namespaces are not allowed. It runs the pods of
every Node labelled `seatrial.dev/simulated`, its own and those a test creates. It looks at no image, volume,
environment or probe; what a pod is to do beyond running is said by annotations (`podstatus.Script`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

from seatrial.base.clock import parse_time, rfc3339
from seatrial.cluster.node import podstatus
from seatrial.cluster.node.addresses import AddressPool
from seatrial.cluster.node.registration import SIMULATED, Heart
from seatrial.kube.control.controller import DONE, Controller, Key, Outcome
from seatrial.kube.model import objects, resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from seatrial.kube.control.context import ControlContext
    from seatrial.kube.control.events import EventType
    from seatrial.kube.model.objects import Object

NODE = "seatrial"
_ADDRESS = "10.0.0.1"
_CAPACITY = {"cpu": "256", "memory": "1Ti", "ephemeral-storage": "1Ti", "pods": "20000"}
"""Generous: nothing is used in earnest. A test that wants scarcity asks for large requests."""
_FIRST_BACK_OFF, _LAST_BACK_OFF = 10.0, 300.0
"""Restart back-off of the kubelet, in seconds: it doubles with every end."""
_LONG_RUN = 600.0
"""Containers that ran this long start again from the first back-off."""
_BY_NODE = "node"
_WORKERS = 8


class Part(Protocol):
    name: str

    async def run(self) -> None: ...


def build(context: ControlContext, *, start_seconds: float, registers: bool = True) -> list[Part]:
    """`registers`: with a Node of its own, besides those that others create."""
    heart = Heart(context.client, context.clock, NODE, _CAPACITY, _ADDRESS)
    kubelet = Kubelet(context, start_seconds).controller
    return [heart, kubelet] if registers else [kubelet]


class Kubelet:
    def __init__(self, context: ControlContext, start_seconds: float) -> None:
        self._context = context
        self._start_seconds = start_seconds
        self._resource = resources.for_plural("pods")
        self._pods = context.informers.get(self._resource)
        self._nodes = context.informers.get(resources.for_plural("nodes"))
        self._addresses = AddressPool()
        self._bound_at: dict[str, float] = {}
        self._ends: dict[str, int] = {}
        """How often in a row the containers of a pod have ended: what their back-off doubles with."""
        self._pods.add_index(_BY_NODE, lambda pod: [pod["spec"].get("nodeName") or ""])
        self._pods.on_change(self._note)
        self._nodes.on_change(self._node_changed)
        self.controller = Controller("simulated kubelet", self._reconcile, clock=context.clock, workers=_WORKERS)
        self.controller.watches(self._pods)
        self.controller.watches(self._nodes, lambda _: ())

    def _note(self, old: Object | None, new: Object | None) -> None:
        """Keep track of addresses in use, across restarts too."""
        pod = new or old or {}
        uid, address = objects.uid(pod), (pod.get("status") or {}).get("podIP")
        if new is None:
            self._bound_at.pop(uid, None)
            self._ends.pop(uid, None)
            self._addresses.release(uid)
        elif address and not pod["spec"].get("hostNetwork"):
            self._addresses.note(uid, address)

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        """Pods may be bound to a node before it is there, or is ours."""
        if new is not None and (old is None or objects.labels(old) != objects.labels(new)):
            for pod in self._pods.by_index(_BY_NODE, objects.name(new)):
                self.controller.enqueue((objects.namespace(pod), objects.name(pod)))

    async def _reconcile(self, key: Key) -> Outcome:
        pod = self._pods.get(*key)
        node = self._nodes.get("", pod["spec"].get("nodeName") or "") if pod is not None else None
        if pod is None or node is None or objects.labels(node).get(SIMULATED) != "true":
            return DONE
        try:
            return await self._step(pod, _address_of(node))
        except StatusError as error:
            if error.code == 404:
                return DONE
            raise

    async def _step(self, pod: Object, host: str) -> Outcome:
        """Take the pod one stage further, or say when that is due."""
        phase = (pod.get("status") or {}).get("phase")
        if objects.is_deleting(pod):
            return await self._terminate(pod, phase)
        if phase in ("Succeeded", "Failed"):
            return DONE
        plan, now = podstatus.script(pod, self._start_seconds), self._context.clock.time()
        if not _has_begun(pod):
            due = self._bound_at.setdefault(objects.uid(pod), now) + plan.start_seconds
            return await self._begin(pod, plan, host) if now >= due else Outcome(requeue_after=due - now)
        if now >= (deadline := _deadline(pod)):
            await self._write(pod, podstatus.overdue(pod, self._now()))
            return DONE
        if _is_waiting(pod):
            due = self._restart_due(pod)
            if now < due:
                return _at(now, due, deadline)
            await self._run(pod, plan, host)
            return DONE
        if await self._run(pod, plan, host):
            return DONE  # the change itself brings the next pass
        due = _started(pod) + plan.run_seconds if plan.run_seconds is not None else math.inf
        return await self._end(pod, plan, now) if now >= due else _at(now, due, deadline)

    async def _begin(self, pod: Object, plan: podstatus.Script, host: str) -> Outcome:
        await self._run(pod, plan, host)
        for container in pod["spec"]["containers"]:
            self._event(pod, "Normal", "Started", f"Started container {container['name']} (simulated)")
        return DONE

    async def _run(self, pod: Object, plan: podstatus.Script, host: str) -> bool:
        """The pod's containers run, as the pod is now: its annotations, images and readiness gates may have changed.

        True if that made a difference. A pod that ends at once is never ready.
        """
        address = host if pod["spec"].get("hostNetwork") else self._addresses.of(objects.uid(pod))
        ready = plan.is_ready and plan.run_seconds != 0
        return await self._write(pod, podstatus.running(pod, self._now(), address, host, ready=ready))

    async def _end(self, pod: Object, plan: podstatus.Script, now: float) -> Outcome:
        policy = pod["spec"].get("restartPolicy", "Always")
        if policy == "Never" or (policy == "OnFailure" and plan.exit_code == 0):
            await self._write(pod, podstatus.finished(pod, self._now(), plan.exit_code))
            return DONE
        uid = objects.uid(pod)
        ends = 1 if now - _started(pod) >= _LONG_RUN else self._ends.get(uid, 0) + 1
        await self._write(pod, podstatus.crashed(pod, self._now(), plan.exit_code, _back_off(ends)))
        self._ends[uid] = ends
        for container in pod["spec"]["containers"]:
            text = f"Back-off restarting failed container {container['name']} in pod {objects.name(pod)}"
            self._event(pod, "Warning", "BackOff", text)
        return DONE

    def _restart_due(self, pod: Object) -> float:
        """After a restart of this process the first back-off counts, as it does for a kubelet."""
        ended = pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["finishedAt"]
        return parse_time(ended) + _back_off(self._ends.get(objects.uid(pod), 1))

    async def _terminate(self, pod: Object, phase: str | None) -> Outcome:
        """SIGTERM is obeyed at once: report the end, then remove the object."""
        if phase not in ("Succeeded", "Failed"):
            code = _code_of_termination(pod) if _has_begun(pod) else podstatus.NEVER_STARTED
            await self._write(pod, podstatus.finished(pod, self._now(), code))
        namespace, name = objects.namespace(pod), objects.name(pod)
        if pod["metadata"].get("deletionGracePeriodSeconds"):
            await self._context.client.delete(self._resource, name, namespace, grace=0, uid=objects.uid(pod))
        return DONE

    async def _write(self, pod: Object, status: Object) -> bool:
        """Against the version the status was made from, for others write conditions there too: a 409 brings another
        pass, which sees them. True if that changed the pod."""
        if status == pod.get("status"):
            return False
        new = await self._context.client.update(self._resource, {**pod, "status": status}, subresource="status")
        return bool(new["metadata"]["resourceVersion"] != pod["metadata"]["resourceVersion"])

    def _event(self, pod: Object, type_: EventType, reason: str, message: str) -> None:
        node = pod["spec"]["nodeName"]
        self._context.recorder.event(pod, type_, reason, message, component="kubelet", host=node)

    def _now(self) -> str:
        return rfc3339(self._context.clock.time())


def _address_of(node: Object) -> str:
    found = (node.get("status") or {}).get("addresses") or []
    return next((str(item["address"]) for item in found if item.get("type") == "InternalIP"), _ADDRESS)


def _has_begun(pod: Object) -> bool:
    return bool((pod.get("status") or {}).get("containerStatuses"))


def _is_waiting(pod: Object) -> bool:
    return "waiting" in pod["status"]["containerStatuses"][0]["state"]


def _started(pod: Object) -> float:
    state = pod["status"]["containerStatuses"][0]["state"]
    return parse_time(state["running"]["startedAt"]) if "running" in state else 0.0


def _deadline(pod: Object) -> float:
    seconds, start = pod["spec"].get("activeDeadlineSeconds"), pod["status"].get("startTime")
    return parse_time(start) + seconds if seconds is not None and start else math.inf


def _at(now: float, *due: float) -> Outcome:
    """Another pass when the earliest is due."""
    wait = min(due) - now
    return Outcome(requeue_after=wait) if wait < math.inf else DONE


def _code_of_termination(pod: Object) -> int:
    """A pod that is meant to run for ever ends well when told to; any other is cut short by SIGTERM."""
    return 0 if pod["spec"].get("restartPolicy", "Always") == "Always" else 128 + 15


def _back_off(ends: int) -> float:
    return float(min(_FIRST_BACK_OFF * 2.0 ** (ends - 1), _LAST_BACK_OFF))
