"""Containers for tests; imported on both sides."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from seatrial.cluster.node.runtime.types import ContainerConfig, Exit, SandboxConfig

if TYPE_CHECKING:
    from pathlib import Path

    from seatrial.cluster.node.runtime.oci import OciRuntime

Runtime = Any
"""An OciRuntime with what serving.py hangs on it."""

_DEFAULT = """
    CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL
    AUDIT_WRITE
"""
DEFAULT_CAPABILITIES = tuple(f"CAP_{name}" for name in _DEFAULT.split())


class Pod:
    """A sandbox with containers; gone at the end of the block."""

    def __init__(self, runtime: Runtime, **config: Any) -> None:
        self.runtime: OciRuntime = runtime
        self.layer: Path = runtime.layer
        self.uid = uuid.uuid4().hex
        self.config = SandboxConfig(self.uid, "default", "pod", **{"hostname": "pod", **config})
        self.logs = self.layer.parents[1] / "node" / "logs" / self.uid
        self.exits: dict[str, asyncio.Future[Exit]] = {}

    async def __aenter__(self) -> Pod:
        self.runtime.on_exit = _EXITS
        self.sandbox = await self.runtime.create_sandbox(self.config)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.runtime.remove_sandbox(self.uid)

    async def create(self, *arguments: str, **config: Any) -> str:
        name = uuid.uuid4().hex * 2
        given = ContainerConfig(
            id=name,
            sandbox=self.uid,
            name="main",
            layers=(self.layer,),
            layer_directory=self.layer.parent,
            arguments=arguments,
            environment=("PATH=/bin",),
            log_path=self.logs / f"{name[:8]}.log",
        )
        _EXITS.futures[name] = asyncio.get_running_loop().create_future()
        await self.runtime.create(replace(given, **config))
        return name

    async def start(self, *arguments: str, **config: Any) -> str:
        name = await self.create(*arguments, **config)
        await self.runtime.start(name)
        return name

    async def sh(self, script: str, **config: Any) -> tuple[Exit, str]:
        """Run a script to its end."""
        name = await self.start("sh", "-c", script, **config)
        return await self.exit(name), self.text(name)

    async def exit(self, name: str) -> Exit:
        return await asyncio.wait_for(_EXITS.futures[name], 30)

    def log(self, name: str) -> str:
        return str((self.logs / f"{name[:8]}.log").read_text())

    def text(self, name: str) -> str:
        """Without the stamps."""
        out = ""
        for line in self.log(name).splitlines():
            _, _, tag, rest = line.split(" ", 3)
            out += rest + ("\n" if tag == "F" else "")
        return out

    async def until(self, condition: Any, seconds: float = 20) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.005)


class _Exits:
    def __init__(self) -> None:
        self.futures: dict[str, asyncio.Future[Exit]] = {}

    def __call__(self, name: str, exit: Exit) -> None:
        self.futures[name].set_result(exit)


_EXITS = _Exits()
