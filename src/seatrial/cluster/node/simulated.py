"""The simulated runtime: pods become ready after a set delay, and no process runs.

For previews, scale tests, controller tests and machines where namespaces are not allowed. It runs the pods of
every Node labelled `seatrial.dev/simulated`, its own and those a test creates. It looks at no image, volume,
environment or probe; what a pod is to do beyond running is said by annotations (`podstatus.Script`).
"""

from __future__ import annotations

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
    from seatrial.kube.model.objects import Object

NODE = "seatrial"
_ADDRESS = "10.0.0.1"
_CAPACITY = {"cpu": "256", "memory": "1Ti", "ephemeral-storage": "1Ti", "pods": "20000"}
"""Generous: nothing is used in earnest. A test that wants scarcity asks for large requests."""
_FIRST_BACK_OFF, _LAST_BACK_OFF = 10.0, 300.0
"""Restart back-off: research section 3.2."""
_WORKERS = 8


class Part(Protocol):
    name: str

    async def run(self) -> None: ...


def build(context: ControlContext, *, start_seconds: float) -> list[Part]:
    heart = Heart(context.client, context.clock, NODE, _CAPACITY, _ADDRESS)
    return [heart, Kubelet(context, start_seconds).controller]


class Kubelet:
    def __init__(self, context: ControlContext, start_seconds: float) -> None:
        self._context = context
        self._start_seconds = start_seconds
        self._resource = resources.for_plural("pods")
        self._pods = context.informers.get(self._resource)
        self._nodes = context.informers.get(resources.for_plural("nodes"))
        self._addresses = AddressPool()
        self._bound_at: dict[str, float] = {}
        self._begun: set[str] = set()
        """Pods whose first status is written; the informer may not show it yet."""
        self._pods.on_change(self._note)
        self.controller = Controller("simulated kubelet", self._reconcile, clock=context.clock, workers=_WORKERS)
        self.controller.watches(self._pods)
        self.controller.watches(self._nodes, self._pods_of)

    def _note(self, old: Object | None, new: Object | None) -> None:
        """Keep track of addresses in use, across restarts too."""
        pod = new or old or {}
        uid, address = objects.uid(pod), (pod.get("status") or {}).get("podIP")
        if new is None:
            self._bound_at.pop(uid, None)
            self._begun.discard(uid)
            self._addresses.release(uid)
        elif address and address != _ADDRESS and uid:
            self._addresses.note(uid, address)

    def _pods_of(self, node: Object) -> list[Key]:
        """A node's own pods, when it is new to us."""
        name = objects.name(node)
        waiting = (pod for pod in self._pods.list() if pod["spec"].get("nodeName") == name and not _has_begun(pod))
        return [(objects.namespace(pod), objects.name(pod)) for pod in waiting]

    async def _reconcile(self, key: Key) -> Outcome:
        pod = self._pods.get(*key)
        if pod is None or not self._is_ours(pod):
            return DONE
        try:
            return await self._step(pod)
        except StatusError as error:
            if error.code == 404:
                return DONE
            raise

    def _is_ours(self, pod: Object) -> bool:
        node = self._nodes.get("", pod["spec"].get("nodeName") or "")
        return node is not None and objects.labels(node).get(SIMULATED) == "true"

    async def _step(self, pod: Object) -> Outcome:
        """Take the pod one stage further, or say when that is due."""
        phase = (pod.get("status") or {}).get("phase")
        if objects.is_deleting(pod):
            return await self._terminate(pod, phase)
        if phase in ("Succeeded", "Failed"):
            return DONE
        plan = podstatus.script(pod, self._start_seconds)
        now = self._context.clock.time()
        if not _has_begun(pod):
            due = self._bound_at.setdefault(objects.uid(pod), now) + plan.start_seconds
            return await self._begin(pod, plan) if now >= due else Outcome(requeue_after=due - now)
        if _is_waiting(pod):
            return await self._restart(pod, plan, now)
        if plan.run_seconds is not None:
            due = _started(pod) + plan.run_seconds
            return await self._end(pod, plan) if now >= due else Outcome(requeue_after=due - now)
        return await self._follow_readiness(pod, plan)

    async def _begin(self, pod: Object, plan: podstatus.Script) -> Outcome:
        uid = objects.uid(pod)
        if uid in self._begun:
            return DONE
        address = _ADDRESS if pod["spec"].get("hostNetwork") else self._addresses.of(uid)
        ready = plan.is_ready and plan.run_seconds is None
        status = podstatus.running(pod, self._now(), address, _ADDRESS, ready=ready)
        await self._write(pod, status)
        self._begun.add(uid)
        for container in pod["spec"]["containers"]:
            self._event(pod, "Started", f"Started container {container['name']} (simulated)")
        return Outcome(requeue_after=plan.run_seconds)

    async def _follow_readiness(self, pod: Object, plan: podstatus.Script) -> Outcome:
        """Annotations and readiness gates may change while the pod runs."""
        old = pod["status"]
        wanted = podstatus.running(
            pod, self._now(), old["podIP"], _ADDRESS, ready=plan.is_ready, restarts=podstatus.restart_count(pod)
        )
        if _readiness(wanted) != _readiness(old):
            for found, before in zip(wanted["containerStatuses"], old.get("containerStatuses") or [], strict=False):
                found["state"], found["lastState"] = before["state"], before["lastState"]
            await self._write(pod, wanted)
        return DONE

    async def _end(self, pod: Object, plan: podstatus.Script) -> Outcome:
        policy = pod["spec"].get("restartPolicy", "Always")
        if policy == "Never" or (policy == "OnFailure" and plan.exit_code == 0):
            await self._write(pod, podstatus.finished(pod, self._now(), plan.exit_code))
            return DONE
        back_off = _back_off(podstatus.restart_count(pod))
        await self._write(pod, podstatus.crashed(pod, self._now(), plan.exit_code, back_off))
        return Outcome(requeue_after=back_off)

    async def _restart(self, pod: Object, plan: podstatus.Script, now: float) -> Outcome:
        restarts = podstatus.restart_count(pod)
        ended = pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["finishedAt"]
        due = parse_time(ended) + _back_off(restarts)
        if now < due:
            return Outcome(requeue_after=due - now)
        address = pod["status"]["podIP"]
        ready = plan.is_ready and plan.run_seconds is None
        status = podstatus.running(pod, self._now(), address, _ADDRESS, ready=ready, restarts=restarts + 1)
        await self._write(pod, status)
        return Outcome(requeue_after=plan.run_seconds)

    async def _terminate(self, pod: Object, phase: str | None) -> Outcome:
        """SIGTERM is obeyed at once: report the end, then remove the object."""
        if phase not in ("Succeeded", "Failed"):
            await self._write(pod, podstatus.finished(pod, self._now(), 0 if _ends_well(pod) else 143))
        namespace, name = objects.namespace(pod), objects.name(pod)
        if pod["metadata"].get("deletionGracePeriodSeconds"):
            await self._context.client.delete(self._resource, name, namespace, grace=0, uid=objects.uid(pod))
        return DONE

    async def _write(self, pod: Object, status: Object) -> None:
        changed = {**pod, "status": status}
        # The kubelet owns the status: it writes over what it last saw, not against a version.
        changed["metadata"] = {key: value for key, value in pod["metadata"].items() if key != "resourceVersion"}
        await self._context.client.update(self._resource, changed, subresource="status")

    def _event(self, pod: Object, reason: str, message: str) -> None:
        node = pod["spec"]["nodeName"]
        self._context.recorder.event(pod, "Normal", reason, message, component="kubelet", host=node)

    def _now(self) -> str:
        return rfc3339(self._context.clock.time())


def _has_begun(pod: Object) -> bool:
    return bool((pod.get("status") or {}).get("containerStatuses"))


def _is_waiting(pod: Object) -> bool:
    return "waiting" in pod["status"]["containerStatuses"][0]["state"]


def _started(pod: Object) -> float:
    state = pod["status"]["containerStatuses"][0]["state"]
    return parse_time(state["running"]["startedAt"]) if "running" in state else 0.0


def _readiness(status: Object) -> object:
    kept = ("Ready", "ContainersReady")
    return {c["type"]: c["status"] for c in status.get("conditions") or [] if c["type"] in kept}


def _ends_well(pod: Object) -> bool:
    return bool(pod["spec"].get("restartPolicy") == "Always")


def _back_off(restarts: int) -> float:
    return float(min(_FIRST_BACK_OFF * 2.0**restarts, _LAST_BACK_OFF))
