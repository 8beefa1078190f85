"""Real containers: what the OCI runtime promises the kubelet, as root and in a user namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.node.making import Pod

if TYPE_CHECKING:
    from tests.node.conftest import Node
    from tests.node.making import Runtime


async def _exit_codes(runtime: Runtime) -> list[tuple[int, int]]:
    async with Pod(runtime) as pod:
        ends = [(await pod.sh(script))[0] for script in ("exit 0", "exit 7", "kill -9 $$", "exit 255")]
        name = await pod.start("sleep", "100")
        await runtime.signal(name, 15)  # pid 1 without a handler does not hear it
        await runtime.kill(name)
        ends.append(await pod.exit(name))
        name = await pod.start("sh", "-c", "trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done")
        await pod.until(lambda: "ready" in pod.text(name))
        await runtime.signal(name, 15)
        ends.append(await pod.exit(name))
        return [(end.code, end.signal) for end in ends]


def test_exit_codes_and_signals_are_exact(node: Node) -> None:
    assert node.run(_exit_codes) == [(0, 0), (7, 0), (0, 0), (255, 0), (137, 9), (3, 0)]
