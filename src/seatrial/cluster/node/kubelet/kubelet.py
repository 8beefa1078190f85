"""All pods of this node: one `Pod` for each that the API binds here, told what happens, until it has ended."""

from __future__ import annotations

import asyncio
import logging
import shutil
from typing import TYPE_CHECKING

from seatrial.cluster.node.kubelet.pod import Pod, log_directory
from seatrial.cluster.node.kubelet.records import Role
from seatrial.cluster.node.server.pods import Found
from seatrial.kube.model import objects, resources
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seatrial.cluster.node.kubelet.parts import Parts
    from seatrial.cluster.node.kubelet.records import Record
    from seatrial.cluster.node.probes.probes import Kind, Subject
    from seatrial.cluster.node.runtime.types import Exit
    from seatrial.kube.control.informer import Informer, InformerFactory
    from seatrial.kube.model.objects import Object

log = logging.getLogger(__name__)

_PODS = resources.for_plural("pods")
_UNHEALTHY = {"liveness": "failed liveness probe", "startup": "failed startup probe"}


class Kubelet:
    """Also listens to probes, and answers the node's server."""

    name = "kubelet"

    def __init__(self, informers: InformerFactory, node: str) -> None:
        self._informer: Informer = informers.get(_PODS)
        self._node = node
        self._pods: dict[str, Pod] = {}
        """By uid."""
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._parts: Parts | None = None

    async def run(self, parts: Parts) -> None:
        """Until cancelled; then what runs is left to the end of the node's namespaces."""
        self._parts = parts
        parts.runtime.on_exit = self._exited
        for name in ("pods", "logs"):
            (parts.directory / name).mkdir(parents=True, exist_ok=True)
        await self._informer.wait_synced()
        await asyncio.to_thread(self._clean_up)
        self._informer.on_change(self._changed)
        try:
            await asyncio.Event().wait()
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _clean_up(self) -> None:
        """What an earlier start has left: all of its pods' places, and the logs of those that are gone."""
        parts = self._here
        known = {log_directory(parts.directory, pod).name for pod in self._informer.list()}
        for path in (parts.directory / "pods").iterdir():
            shutil.rmtree(path, ignore_errors=True)
        for path in (parts.directory / "logs").iterdir():
            if path.name not in known:
                shutil.rmtree(path, ignore_errors=True)

    @property
    def _here(self) -> Parts:
        assert self._parts is not None
        return self._parts

    # What the API says

    def _changed(self, old: Object | None, new: Object | None) -> None:
        if new is None:
            known = self._pods.get(objects.uid(old or {}))
            if known is not None:
                known.vanish()
        elif new["spec"].get("nodeName") == self._node:
            known = self._pods.get(objects.uid(new))
            if known is not None:
                known.update(new)
            else:
                self._begin(new)

    def _begin(self, pod: Object) -> None:
        uid = objects.uid(pod)
        made = self._pods[uid] = Pod(self._here, pod)
        task = asyncio.create_task(made.run(), name=f"pod {objects.namespace(pod)}/{objects.name(pod)}")
        self._tasks[uid] = task
        task.add_done_callback(lambda done: self._finished(uid, done))

    def _finished(self, uid: str, task: asyncio.Task[None]) -> None:
        self._pods.pop(uid, None)
        self._tasks.pop(uid, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a pod was given up", extra={"task": task.get_name()}, exc_info=error)

    # What the runtime and the probes say

    def _exited(self, container: str, exit: Exit) -> None:
        for pod in self._pods.values():
            pod.exited(container, exit)

    def probes_changed(self, subject: Subject) -> None:
        found = self._of(subject)
        if found is not None:
            found[0].probes_changed(found[1].name)

    def probe_failed(self, subject: Subject, kind: Kind, message: str, grace: int | None) -> None:
        found = self._of(subject)
        if found is not None:
            found[0].restart(found[1].name, _UNHEALTHY[kind.value], grace)

    def probe_noted(self, subject: Subject, kind: Kind, reason: str, message: str) -> None:
        found = self._of(subject)
        if found is not None:
            pod, record = found
            group = "containers" if record.role is Role.MAIN else "initContainers"
            path = f"spec.{group}{{{record.name}}}"
            self._here.recorder.event(pod.object, "Warning", reason, message, field_path=path)

    def _of(self, subject: Subject) -> tuple[Pod, Record] | None:
        """None: the probe's container is not the present one any more."""
        pod = self._pods.get(objects.uid(subject.pod))
        record = pod.find(subject.container["name"]) if pod is not None else None
        if pod is None or record is None or record.id != subject.container_id:
            return None
        return pod, record

    # What the node's server asks

    def find(self, namespace: str, pod: str, container: str, *, previous: bool = False) -> Found:
        """`container` "": the only one, or the one that is annotated as the default. Raises StatusError."""
        found = self._pod(namespace, pod)
        record = found.find(container or _default(found.object))
        if record is None:
            raise _refused(400, "BadRequest", f"container {container} is not valid for pod {pod}")
        if previous:
            path = found.log_directory / record.name / f"{record.restarts - 1}.log"
            if not path.exists():
                text = f'previous terminated container "{record.name}" in pod "{pod}" not found'
                raise _refused(400, "BadRequest", text)
            return Found(record.previous_id, path, False)
        if record.log_path is None:
            path = found.log_directory / record.name / f"{record.restarts}.log"
            if not path.exists():
                reason = record.state.get("waiting", {}).get("reason", "")
                text = f'container "{record.name}" in pod "{pod}" is waiting to start: {reason}'
                raise _refused(400, "BadRequest", text)
            return Found("", path, False)
        return Found(record.id, record.log_path, record.is_running)

    def sandbox(self, namespace: str, pod: str) -> int | None:
        """A process in the pod's network namespace; None: it is the node's. Raises StatusError."""
        found = self._pod(namespace, pod)
        if found.sandbox is None:
            raise _refused(400, "BadRequest", f'pod "{pod}" is not running')
        return None if found.sandbox.config.host_network else found.sandbox.pid

    def summary(self) -> list[tuple[Object, Mapping[str, str]]]:
        """The pods with running containers: their ids by name."""
        listed: list[tuple[Object, Mapping[str, str]]] = []
        for pod in self._pods.values():
            running = {record.name: record.id for record in pod.records if record.is_running}
            if running:
                listed.append((pod.object, running))
        return listed

    def _pod(self, namespace: str, name: str) -> Pod:
        for pod in self._pods.values():
            if objects.name(pod.object) == name and objects.namespace(pod.object) == namespace:
                return pod
        raise _refused(404, "NotFound", f'pod "{name}" in namespace "{namespace}" does not run on this node')


def _default(pod: Object) -> str:
    annotated = objects.annotations(pod).get("kubectl.kubernetes.io/default-container")
    return annotated or str(pod["spec"]["containers"][0]["name"])


def _refused(code: int, reason: str, message: str) -> StatusError:
    return StatusError(code, reason, message)
