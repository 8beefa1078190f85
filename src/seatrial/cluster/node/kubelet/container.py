"""One container of a pod: its image, its configuration, its start, its hooks, its end -- and all of it again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

from seatrial.base.clock import rfc3339
from seatrial.base.errors import Retryable, SeatrialError
from seatrial.cluster.node.hooks import HookFailed, run_hook
from seatrial.cluster.node.images import credentials
from seatrial.cluster.node.images import policy as policies
from seatrial.cluster.node.images import reference as references
from seatrial.cluster.node.images.errors import ImageError
from seatrial.cluster.node.images.policy import PullBackOff
from seatrial.cluster.node.kubelet import environment, messages, restarts, security, users
from seatrial.cluster.node.kubelet.configuration import configuration, new_id, stop_signal
from seatrial.cluster.node.kubelet.environment import Place
from seatrial.cluster.node.kubelet.limits import limits
from seatrial.cluster.node.kubelet.names import hostname
from seatrial.cluster.node.kubelet.parts import Deadline
from seatrial.cluster.node.kubelet.records import Role, terminated
from seatrial.cluster.node.probes.probes import Subject
from seatrial.cluster.node.runtime.errors import RuntimeFailed
from seatrial.kube.model import objects
from seatrial.kube.model.status import StatusError

if TYPE_CHECKING:
    from pathlib import Path

    from seatrial.cluster.node.images.manager import Ready
    from seatrial.cluster.node.images.manifest import ImageConfig
    from seatrial.cluster.node.kubelet.parts import PodView
    from seatrial.cluster.node.kubelet.records import Record
    from seatrial.cluster.node.runtime.types import ContainerConfig, Exit
    from seatrial.kube.control.events import EventType
    from seatrial.kube.model.objects import Object

log = logging.getLogger(__name__)

_PATIENCE = 10.0
"""Seconds until what cannot be configured is tried again, if nothing changes before."""
_SOON = 1.0
"""Seconds for which a failed pull is shown as such, before it is shown as waiting for the next."""
_UNANSWERED = "CreateContainerConfigError"
_LEAST_GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL, whatever the grace: as upstream gives."""
_START_ERROR = 128
_KEPT_LOGS = 2


class Keeper:
    def __init__(self, pod: PodView, record: Record) -> None:
        self._pod = pod
        self._parts = pod.parts
        self.record = record
        self._image: ImageConfig | None = None
        self._begun_at = 0.0
        self._runs = 0
        self.attempted = asyncio.Event()
        """A first start was tried, or cannot be yet: the next container may go."""
        self._again = asyncio.Event()
        """A changed image ends a wait."""

    # Life

    async def keep(self, turn: asyncio.Event | None = None) -> None:
        """Run the container, as often as its pod wants, until it has ended for good. `turn`: when it may start."""
        record = self.record
        if record.done:
            self.attempted.set()
            return
        try:
            while True:
                await self._start(turn)
                self.attempted.set()
                if record.exit is not None:
                    await self._finish(await asyncio.shield(record.exit))
                code = record.exit_code
                if code is not None and not restarts.again(record, code, self._pod.object):
                    record.done = True
                    self._pod.changed()
                    return
                await self._back_off()
        finally:
            self.attempted.set()

    async def _back_off(self) -> None:
        record = self.record
        ran = self._parts.clock.monotonic() - self._begun_at
        record.back_off = restarts.delay(record.back_off if self._runs > 1 else None, ran)
        if record.back_off <= 0:
            return
        pod = self._pod.object
        whose = f"{objects.name(pod)}_{objects.namespace(pod)}({objects.uid(pod)})"
        text = f"back-off {restarts.shown(record.back_off)} restarting failed container={record.name} pod={whose}"
        record.wait_for("CrashLoopBackOff", text)
        self._pod.changed()
        self._event("Warning", "BackOff", f"Back-off restarting failed container {record.name} in pod {whose}")
        await self._pause(record.back_off)

    async def _pause(self, seconds: float) -> None:
        """The time, or until the image is another."""
        self._again.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._again.wait()

    # Start

    async def _start(self, turn: asyncio.Event | None) -> None:
        """Return when a container runs, or was tried in vain and that counts as an end."""
        image, config = await self._configured()
        if turn is not None:
            await turn.wait()
        record, runtime = self.record, self._parts.runtime
        if record.hold is not None:
            record.hold.close()
        record.hold = image.hold
        record.image, record.image_id = _names(self._spec()["image"], image)
        if record.id or record.reported_id:
            record.restarts += 1
        record.previous_id, record.previous_log = record.id, record.log_path
        record.id, record.log_path, record.reported_id = config.id, config.log_path, ""
        if "terminated" in record.state:
            record.last = record.state
        self._begun_at = self._parts.clock.monotonic()
        self._runs += 1
        record.exit = asyncio.get_running_loop().create_future()
        try:
            await runtime.create(config)
            self._event("Normal", "Created", f"Container created: {record.name}")
            await runtime.start(config.id)
        except RuntimeFailed as error:
            await self._failed_to_start(error.message)
            return
        record.run(self._parts.clock.time())
        self._event("Normal", "Started", f"Container started: {record.name}")
        self._pod.changed()
        await self._post_start()

    async def _failed_to_start(self, message: str) -> None:
        record = self.record
        record.exit = None
        now = rfc3339(self._parts.clock.time())
        ended = {"exitCode": _START_ERROR, "reason": "StartError", "message": message}
        record.end({**ended, "startedAt": now, "finishedAt": now, "containerID": f"oci://{record.id}"})
        self._event("Warning", "Failed", f"Error: {message}")
        self._pod.changed()
        await self._parts.runtime.remove(record.id)

    async def _post_start(self) -> None:
        record = self.record
        handler = (self._spec().get("lifecycle") or {}).get("postStart")
        if handler:
            hook = asyncio.ensure_future(self._hook(handler, timeout=0))
            assert record.exit is not None
            await _first(hook, record.exit)
            if not hook.done():  # it has ended before its hook: that is the end that counts
                hook.cancel()
                await asyncio.gather(hook, return_exceptions=True)
            elif (error := hook.exception()) is not None:
                self._event("Warning", "FailedPostStartHook", str(error))
                self._event("Normal", "Killing", f"FailedPostStartHook: {error}")
                await self._end(Deadline(self._parts.clock, self._grace()), hook=False)
                return
        if record.is_running:
            self._parts.probes.start(self._subject())
            self.look()

    def look(self) -> None:
        """Take over what the probes say now."""
        record, probes = self.record, self._parts.probes
        before = (record.started, record.ready)
        record.started = record.is_running and probes.has_started(record.id)
        record.ready = record.is_running and probes.is_ready(record.id)
        if (record.started, record.ready) != before:
            self._pod.changed()

    async def _configured(self) -> tuple[Ready, ContainerConfig]:
        """An image and a configuration, however long that takes; meanwhile the status says what is missing."""
        while True:
            ready = await self._image_ready()
            try:
                self._image = self._parts.store.config(ready.image)
                return ready, await self._configuration(ready)
            except (SeatrialError, StatusError) as error:
                ready.hold.close()
                self._waits(_UNANSWERED if isinstance(error, StatusError) else error.reason, error.message)
                self._event("Warning", "Failed", f"Error: {error.message}")
                self.attempted.set()
                await self._parts.inputs.change(_PATIENCE)
            except BaseException:
                ready.hold.close()
                raise

    def _waits(self, reason: str, message: str) -> None:
        self.record.wait_for(reason, message)
        self._pod.changed()

    async def _image_ready(self) -> Ready:
        while True:
            spec = self._spec()
            name = spec["image"]
            try:
                policy = spec.get("imagePullPolicy") or policies.default_policy(name)
                ready = await self._parts.images.ensure(
                    name,
                    policy=policy,
                    pod=objects.uid(self._pod.object),
                    keyring=await self._keyring(),
                    on_pull=lambda: self._event("Normal", "Pulling", f'Pulling image "{name}"'),  # noqa: B023
                )
            except ImageError as error:
                await self._no_image(name, error)
            except (StatusError, Retryable) as error:
                log.warning("no pull secrets yet", extra={"pod": objects.name(self._pod.object), "error": error})
                await self._pause(_SOON)
            else:
                self._event("Normal", "Pulled", _pulled(name, ready))
                return ready

    async def _no_image(self, name: str, error: ImageError) -> None:
        self._waits(error.reason, error.message)
        self.attempted.set()
        if isinstance(error, PullBackOff):
            self._event("Normal", "BackOff", f'Back-off pulling image "{name}"')
            await self._pause(error.seconds)
            return
        self._event("Warning", "Failed", f'Failed to pull image "{name}": {error.message}')
        self._event("Warning", "Failed", f"Error: {error.reason}")
        await self._pause(_SOON)

    async def _keyring(self) -> credentials.Keyring:
        """Of imagePullSecrets; those that do not exist are passed over, as the image may need none."""
        pod = self._pod.object
        names = [entry.get("name") for entry in pod["spec"].get("imagePullSecrets") or []]
        namespace = objects.namespace(pod)
        found = [await self._parts.inputs.get(namespace, "Secret", name) for name in names if name]
        missing = [name for name, secret in zip(filter(None, names), found, strict=True) if secret is None]
        if missing:
            text = (
                f"Unable to retrieve some image pull secrets ({', '.join(missing)}); attempting to pull the image may "
            )
            self._event("Warning", "FailedToRetrieveImagePullSecret", text + "not succeed.")
        return credentials.from_secrets([secret for secret in found if secret is not None])

    async def _configuration(self, ready: Ready) -> ContainerConfig:
        """Raises ConfigError, NoSuchUser, StatusError."""
        pod, spec, parts, image = self._pod.object, self._spec(), self._parts, self._image
        assert image is not None
        made = await self._environment(spec)
        layers = parts.store.lower_directories(ready.image)
        guarded, user = security.security(
            pod,
            spec,
            image.user,
            lambda name: users.find(layers, name),
            available=parts.node.capabilities,
            profiles=parts.directory / "seccomp",
        )
        record = self.record
        number = record.restarts + (1 if record.id or record.reported_id else 0)
        return configuration(
            spec,
            image,
            id=new_id(),
            uid=objects.uid(pod),
            layers=layers,
            layer_directory=parts.store.layer_directory,
            made=made,
            home=user.home,
            host=hostname(pod),
            mounts=parts.volumes.mounts(pod, spec, made),
            message_file=self._message_file(number),
            security=guarded,
            limits=limits(pod, spec, parts.node.memory_bytes),
            log_path=self._log(number),
        )

    async def _environment(self, spec: Object) -> dict[str, str]:
        pod, inputs, node = self._pod.object, self._parts.inputs, self._parts.node
        namespace = objects.namespace(pod)
        found = {(kind, name): await inputs.get(namespace, kind, name) for kind, name in environment.sources(spec)}
        place = Place(self._pod.address, node.address, node.allocatable)
        return environment.environment(
            pod, spec, lambda kind, name: found[kind, name], inputs.services(namespace), place
        )

    def _message_file(self, number: int) -> Path:
        """Made anew, writable for any user of the container."""
        path = self._parts.directory / "pods" / objects.uid(self._pod.object) / "messages" / self.record.name
        path.mkdir(parents=True, exist_ok=True)
        file = path / str(number)
        file.write_bytes(b"")
        file.chmod(0o666)
        return file

    def _log(self, number: int) -> Path:
        return self._pod.log_directory / self.record.name / f"{number}.log"

    # End

    async def stop(self, deadline: Deadline) -> None:
        """End it as its pod ends: hook, signal, and SIGKILL when the time is up."""
        if self.record.is_running:
            self._event("Normal", "Killing", f"Stopping container {self.record.name}")
            await self._end(deadline, hook=True)

    async def restart(self, why: str, grace: int | None = None) -> None:
        """End it, for `keep` to start it again. `grace` in seconds; the pod's if None."""
        if self.record.is_running:
            self._event("Normal", "Killing", f"Container {self.record.name} {why}, will be restarted")
            await self._end(Deadline(self._parts.clock, self._grace() if grace is None else grace), hook=True)

    async def _end(self, deadline: Deadline, *, hook: bool) -> None:
        record, runtime = self.record, self._parts.runtime
        handler = (self._spec().get("lifecycle") or {}).get("preStop")
        assert record.exit is not None
        if hook and handler:
            await self._pre_stop(handler, deadline)
        if record.is_running:
            image = self._image
            assert image is not None
            await runtime.signal(record.id, stop_signal(self._spec(), image))
            if not await deadline.wait(record.exit, least=_LEAST_GRACE):
                await runtime.kill(record.id)
        await self._finish(await asyncio.shield(record.exit))

    async def _pre_stop(self, handler: dict[str, Any], deadline: Deadline) -> None:
        record = self.record
        assert record.exit is not None
        hook = asyncio.ensure_future(self._hook(handler, timeout=deadline.left()))
        either = asyncio.ensure_future(_first(hook, record.exit))
        try:
            if not await deadline.wait(either):
                text = f"PreStopHook did not complete within the grace period of container {record.name}"
                self._event("Warning", "FailedPreStopHook", text)
            elif hook.done() and (error := hook.exception()) is not None:
                self._event("Warning", "FailedPreStopHook", str(error))
        finally:
            for task in (hook, either):
                task.cancel()
            await asyncio.gather(hook, either, return_exceptions=True)

    async def _hook(self, handler: dict[str, Any], *, timeout: float) -> None:
        """`timeout` 0: as long as it takes. Raises HookFailed."""
        if timeout <= 0:
            timeout = 365 * 86400.0
        try:
            await run_hook(
                handler,
                runtime=self._parts.runtime,
                container_id=self.record.id,
                address=self._pod.address,
                container=self._spec(),
                timeout=timeout,
                clock=self._parts.clock,
            )
        except RuntimeFailed as error:
            raise HookFailed(error.message) from error

    async def _finish(self, exit: Exit) -> None:
        """Note an end, once, and let go of what the container had."""
        record = self.record
        if "running" not in record.state:
            return
        self._parts.probes.stop(record.id)
        message = messages.read(self._spec(), self._message_file_of_run(), record.log_path, exit.code)
        record.end(terminated(exit, record.id, message))
        self._pod.changed()
        await self._parts.runtime.remove(record.id)
        self._forget_old_logs()

    def _message_file_of_run(self) -> Path:
        directory = self._parts.directory / "pods" / objects.uid(self._pod.object) / "messages" / self.record.name
        return directory / str(self.record.restarts)

    def _forget_old_logs(self) -> None:
        old = self.record.restarts - _KEPT_LOGS
        if old >= 0:
            for path in (self._pod.log_directory / self.record.name).glob(f"{old}.log*"):
                path.unlink(missing_ok=True)

    def abandon(self) -> None:
        """The pod is over: a container that waits never ran; the image may go."""
        record = self.record
        if "waiting" in record.state:
            if "terminated" in record.last and record.role is not Role.MAIN:
                record.state = record.last
            elif "terminated" in record.last:
                record.state, record.last = record.last, {}
            else:
                text = "The container could not be located when the pod was terminated"
                record.end({"exitCode": 137, "reason": "ContainerStatusUnknown", "message": text})
        record.started = record.ready = False
        if record.hold is not None:
            record.hold.close()
            record.hold = None

    # Facts

    def image_changed(self) -> None:
        self._again.set()

    def _spec(self) -> Object:
        """As the pod is now: the image of a container may be changed."""
        return self.record.spec

    def _subject(self) -> Subject:
        pod = self._pod
        return Subject(pod.object, self._spec(), self.record.id, pod.address)

    def _grace(self) -> float:
        return float(self._pod.object["spec"].get("terminationGracePeriodSeconds", 30))

    def _event(self, type_: EventType, reason: str, message: str) -> None:
        group = "containers" if self.record.role is Role.MAIN else "initContainers"
        self._parts.recorder.event(
            self._pod.object, type_, reason, message, field_path=f"spec.{group}{{{self.record.name}}}"
        )


async def _first(*futures: asyncio.Future[Any]) -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


def _pulled(name: str, ready: Ready) -> str:
    if not ready.pulled:
        return f'Container image "{name}" already present on machine'
    took = f'Successfully pulled image "{name}" in {ready.seconds * 1000:.0f}ms'
    return f"{took}. Image size: {ready.image.size} bytes."


def _names(image: str, ready: Ready) -> tuple[str, str]:
    """`image` and `imageID` of the status."""
    name = references.parse(image)
    known = [digest for digest in ready.image.digests if digest.partition("@")[0] == name.name]
    return f"{name}", known[0] if known else ready.image.id
