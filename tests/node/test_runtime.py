"""Real containers: what the OCI runtime promises the kubelet, as root and in a user namespace."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
from tests.node.making import DEFAULT_CAPABILITIES, Pod

from seatrial.cluster.node.runtime.errors import RuntimeFailed
from seatrial.cluster.node.runtime.types import Limits, Mount, Security

if TYPE_CHECKING:
    from tests.node.conftest import Node
    from tests.node.making import Runtime

DEFAULT = Security(capabilities=DEFAULT_CAPABILITIES)


async def _sh(runtime: Runtime, script: str, config: dict[str, Any], sandbox: dict[str, Any]) -> tuple[int, str]:
    async with Pod(runtime, **sandbox) as pod:
        end, text = await pod.sh(script, **{"security": DEFAULT, **config})
        return end.code, text


def sh(node: Node, script: str, sandbox: dict[str, Any] | None = None, **config: Any) -> tuple[int, str]:
    """Run a script as a container of its own: its exit code and its log."""
    result: tuple[int, str] = node.run(_sh, script, config, sandbox or {})
    return result


async def _exit_codes(runtime: Runtime) -> list[tuple[int, int]]:
    async with Pod(runtime) as pod:
        ends = [(await pod.sh(script))[0] for script in ("exit 0", "exit 7", "exit 255")]
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
    assert node.run(_exit_codes) == [(0, 0), (7, 0), (255, 0), (137, 9), (3, 0)]


def test_the_process_runs_as_the_user_with_the_groups_it_is_given(node: Node) -> None:
    security = Security(uid=1000, gid=2000, groups=(3000, 4000))
    code, text = sh(node, "id; echo out > /dev/stdout; touch /tmp/x && stat -c %u:%g /tmp/x", security=security)
    assert (code, text.splitlines()) == (0, ["uid=1000 gid=2000 groups=2000,3000,4000", "out", "1000:2000"])


def test_root_has_the_capabilities_it_is_given_and_no_others(node: Node) -> None:
    security = Security(capabilities=("CAP_CHOWN", "CAP_NET_RAW"))
    _, text = sh(node, "grep ^Cap /proc/self/status", security=security)
    masks = {line.split(":")[0]: int(line.split()[1], 16) for line in text.splitlines()}
    wanted = 1 << 0 | 1 << 13
    assert masks == {"CapInh": 0, "CapPrm": wanted, "CapEff": wanted, "CapBnd": wanted, "CapAmb": 0}


def test_a_user_that_is_not_root_has_no_capability_in_effect(node: Node) -> None:
    security = Security(uid=1000, capabilities=("CAP_CHOWN",))
    assert sh(node, "grep ^CapEff /proc/self/status", security=security)[1].split()[1] == "0" * 16


def test_a_read_only_root_refuses_writes_but_for_mounts(node: Node) -> None:
    code, text = sh(
        node,
        "touch /x 2>/dev/null && exit 1; echo a > /dev/shm/a && cat /dev/shm/a",
        security=Security(read_only_root=True),
    )
    assert (code, text) == (0, "a\n")


def test_no_new_privileges_is_set_when_asked_for(node: Node) -> None:
    for wanted in (False, True):
        _, text = sh(node, "grep NoNewPrivs /proc/self/status", security=Security(no_new_privileges=wanted))
        assert text.split()[1] == str(int(wanted))


@pytest.mark.parametrize("command", ["mount -t tmpfs none /tmp", "unshare -U true", "unshare -n true"])
def test_the_default_seccomp_profile_refuses_what_leads_out_of_the_container(node: Node, command: str) -> None:
    code, text = sh(node, f"{command} 2>&1")
    assert code != 0
    assert "not permitted" in text or "permission denied" in text


def test_unconfined_means_no_seccomp_filter(node: Node) -> None:
    assert sh(node, "grep ^Seccomp: /proc/self/status")[1].split()[1] == "2"
    unconfined = Security(seccomp="Unconfined")
    assert sh(node, "grep ^Seccomp: /proc/self/status", security=unconfined)[1].split()[1] == "0"


def test_kernel_files_are_masked_and_read_only(node: Node) -> None:
    script = (
        "wc -c < /proc/interrupts; (echo 1 > /proc/sys/kernel/panic) 2>&1 | grep -o Read-only; ls /sys/firmware | wc -l"
    )
    assert sh(node, script)[1].split() == ["0", "Read-only", "0"]


def test_the_environment_directory_and_arguments_are_what_was_asked(node: Node) -> None:
    code, text = sh(node, 'pwd; echo $A; echo "$B"', environment=("PATH=/bin", "A=1", "B=x y "), directory="/new/place")
    assert (code, text) == (0, "/new/place\n1\nx y \n")


def test_names_of_the_pod_are_its_own(node: Node) -> None:
    sandbox = {"hostname": "web-0", "hosts": "10.1.2.3 web-0\n", "resolv_conf": "nameserver 10.96.0.10\n"}
    _, text = sh(node, "hostname; cat /etc/hostname /etc/hosts /etc/resolv.conf", sandbox)
    assert text == "web-0\nweb-0\n10.1.2.3 web-0\nnameserver 10.96.0.10\n"


def test_a_pod_has_a_network_of_its_own_with_low_ports_for_everybody(node: Node) -> None:
    script = "ls /sys/class/net; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; ifconfig lo | grep -o UP"
    assert sh(node, script, security=Security(uid=1000))[1].split() == ["lo", "0", "UP"]


def test_sysctls_of_the_pod_are_set_and_those_of_the_machine_refused(node: Node) -> None:
    script = "cat /proc/sys/net/core/somaxconn /proc/sys/kernel/shm_rmid_forced"
    sandbox = {"sysctls": {"net.core.somaxconn": "1234", "kernel.shm_rmid_forced": "1"}}
    assert sh(node, script, sandbox)[1].split() == ["1234", "1"]
    with pytest.raises(AssertionError, match=r"sysctl vm\.swappiness is not the pod's own"):
        sh(node, "true", {"sysctls": {"vm.swappiness": "1"}})


async def _two_containers(runtime: Runtime, shared: bool) -> dict[str, Any]:
    async with Pod(runtime, share_process_namespace=shared) as pod:
        first = await pod.start("sh", "-c", "echo hello > /dev/shm/note; exec sleep 1000")
        await pod.until(lambda: (pod.runtime._sandboxes.files(pod.uid) / "shm" / "note").exists())
        _end, text = await pod.sh("cat /dev/shm/note; hostname; ps -o args | grep -c '^sleep 1000'; echo $$")
        # Whatever a main process leaves behind ends with it.
        orphan = await pod.start("sh", "-c", "(setsid sleep 2000 &) ; sleep 0.05; exit 5")
        code = (await pod.exit(orphan)).code
        _, left = await pod.sh("ps -o stat,args | grep 'sleep 2000' | grep -v grep | grep -vc ^Z")
        return {"text": text.split(), "code": code, "left": left.strip(), "running": runtime.process(first) is not None}


def test_containers_of_a_pod_share_ipc_and_names_but_not_processes(node: Node) -> None:
    assert node.run(_two_containers, False) == {
        "text": ["hello", "pod", "0", "1"], "code": 5, "left": "0", "running": True
    }  # fmt: skip


def test_a_shared_process_namespace_shows_the_others_and_leaves_no_orphans(node: Node) -> None:
    found = node.run(_two_containers, True)
    assert found["text"][:3] == ["hello", "pod", "1"]
    assert found["text"][3] != "1"
    assert (found["code"], found["left"], found["running"]) == (5, "0", True)


async def _mounts(runtime: Runtime) -> tuple[int, str]:
    directory = runtime.layer.parents[1] / "node" / "volumes"
    for name in ("a", "b"):
        (directory / name).mkdir(parents=True, exist_ok=True)
        (directory / name / "file").write_text(name)
    async with Pod(runtime) as pod:
        mounts = (
            Mount(str(directory / "b"), "/data/inner", read_only=True),
            Mount(str(directory / "a"), "/data"),
            Mount(str(directory / "a" / "file"), "/etc/hosts", read_only=True, recursive_read_only=True),
        )
        script = (
            "cat /data/file /data/inner/file /etc/hosts; echo new > /data/new || exit 1; "
            "touch /data/inner/x 2>/dev/null && exit 2; echo x 2>/dev/null > /etc/hosts && exit 3; exit 0"
        )
        end, text = await pod.sh(script, mounts=mounts)
    return end.code, text + (directory / "a" / "new").read_text()


def test_mounts_nest_and_are_writable_or_not(node: Node) -> None:
    assert node.run(_mounts) == (0, "abanew\n")


async def _layers(runtime: Runtime) -> tuple[int, str]:
    top = runtime.layer.parent / "top"
    (top / "etc").mkdir(parents=True, exist_ok=True)
    (top / "etc" / "top").write_text("top\n")
    many = []
    for number in range(120):
        layer = runtime.layer.parent / f"{number:064}"
        layer.mkdir(exist_ok=True)
        (layer / f"n{number}").touch()
        many.append(layer)
    async with Pod(runtime) as pod:
        end, text = await pod.sh(
            "cat /etc/top; ls / | grep -c '^n[0-9]'; rm -r /etc /bin/vi; mkdir /etc; ls /etc | wc -l",
            layers=(top, *many, runtime.layer),
        )
    return end.code, text


def test_an_image_of_many_layers_is_one_tree_whose_parts_can_be_removed(node: Node) -> None:
    _code, text = node.run(_layers)
    assert text.splitlines()[:2] == ["top", "120"]


async def _failures(runtime: Runtime) -> list[str]:
    said = []
    async with Pod(runtime) as pod:
        for arguments in (("no-such-program",), ("/etc/passwd",)):
            try:
                await pod.start(*arguments)
            except RuntimeFailed as error:
                said.append(error.message)
        name = await pod.start("sh", "-c", "exec sleep 1000")
        said.append((await runtime.run(name, ["nothing"], timeout=5)).output.decode())
        try:
            await runtime.execute(name, ["nothing"], tty=False, stdin=False)
        except RuntimeFailed as error:
            said.append(error.message)
    return said


def test_a_program_that_cannot_be_started_is_named(node: Node) -> None:
    said = node.run(_failures)
    assert len(said) == 4
    assert "no-such-program" in said[0]
    assert "ermission denied" in said[1]
    assert "nothing" in said[2]
    assert "nothing" in said[3]


async def _logs(runtime: Runtime) -> tuple[str, str, str]:
    async with Pod(runtime) as pod:
        lines = await pod.start("sh", "-c", "echo one; echo two >&2; printf 'no end'")
        await pod.exit(lines)
        long = await pod.start("sh", "-c", "head -c 40000 /dev/zero | tr '\\0' x; echo; echo next")
        await pod.exit(long)
        return pod.log(lines), pod.log(long), pod.text(long)


def test_logs_are_lines_with_time_stream_and_tag(node: Node) -> None:
    lines, long, text = node.run(_logs)
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z"
    patterns = {f"{stamp} stdout F one", f"{stamp} stderr F two", f"{stamp} stdout P no end"}
    assert all(any(re.fullmatch(pattern, line) for line in lines.splitlines()) for pattern in patterns)
    assert len(lines.splitlines()) == 3
    assert [line.split(" ")[2] for line in long.splitlines()] == ["P", "P", "F", "F"]
    assert text == "x" * 40000 + "\nnext\n"


async def _rotation(runtime: Runtime) -> tuple[float, list[int]]:
    async with Pod(runtime) as pod:
        started = time.monotonic()
        name = await pod.start("sh", "-c", "yes 'a line of a program that has a lot to tell' | head -c 45000000")
        await pod.exit(name)
        return time.monotonic() - started, [path.stat().st_size for path in pod.logs.iterdir()]


def test_a_log_is_rotated_and_keeps_up_with_a_loud_program(root_node: Node) -> None:
    seconds, sizes = root_node.run(_rotation)
    print(f"45 MB of log in {seconds:.2f} s")
    assert len(sizes) == 5
    assert max(sizes) <= 10 * 1024 * 1024
    assert seconds < 9, "less than 5 MB/s"


async def _talk(runtime: Runtime, tty: bool) -> dict[str, Any]:
    async with Pod(runtime) as pod:
        name = await pod.start("sleep", "1000")
        session = await runtime.execute(
            name,
            ["sh", "-c", "read a; echo got $a; echo err >&2; test -t 0; echo $?; stty size; exit 9"],
            tty=tty,
            stdin=True,
        )
        session.resize(101, 33)
        await session.write(b"ping\n")
        heard = {"stdout": b"", "stderr": b""}
        async for stream, block in session.output():
            heard[stream] += block
        return {**heard, "code": await session.wait()}


def test_exec_without_a_terminal_keeps_the_streams_apart(node: Node) -> None:
    heard = node.run(_talk, False)
    assert heard["stdout"] == b"got ping\n1\n"
    assert heard["stderr"].startswith(b"err\n")
    assert heard["code"] == 9


def test_exec_with_a_terminal_has_its_size(node: Node) -> None:
    heard = node.run(_talk, True)
    assert heard["stdout"] == b"ping\r\ngot ping\r\nerr\r\n0\r\n33 101\r\n"
    assert heard["code"] == 9


async def _copy(runtime: Runtime) -> tuple[int, int]:
    async with Pod(runtime) as pod:
        name = await pod.start("sleep", "1000")
        session = await runtime.execute(name, ["cat"], tty=False, stdin=True)

        async def send() -> None:
            for _ in range(80):
                await session.write(b"x" * 100_000)
            await session.close_stdin()

        sending = asyncio.create_task(send())
        size = 0
        async for _, block in session.output():
            size += len(block)
        await sending
        return size, await session.wait()


def test_exec_carries_megabytes_both_ways_and_the_end_of_input(node: Node) -> None:
    assert node.run(_copy) == (8_000_000, 0)


async def _closed_exec(runtime: Runtime) -> tuple[int, str]:
    async with Pod(runtime) as pod:
        name = await pod.start("sleep", "1000")
        session = await runtime.execute(name, ["sh", "-c", "sleep 3000 & sleep 3000"], tty=False, stdin=True)
        await session.close()
        code = await session.wait()
        left = await runtime.run(name, ["sh", "-c", "ps -o args | grep -c '^sleep 3000'"], timeout=5)
        return code, left.output.decode()


def test_an_exec_that_nobody_talks_to_any_more_is_killed(node: Node) -> None:
    assert node.run(_closed_exec) == (137, "0\n")


async def _attach(runtime: Runtime, tty: bool) -> tuple[bytes, int, str]:
    async with Pod(runtime) as pod:
        script = "while read line; do echo heard $line; done; echo over; exit 4"
        name = await pod.create("sh", "-c", script, stdin=True, stdin_once=True, tty=tty)
        await runtime.start(name)
        session = await runtime.attach(name, stdin=True)
        await session.write(b"one\n")
        heard = b""
        async for _, block in session.output():
            heard += block
            if b"heard one" in heard and b"over" not in heard:
                if tty:
                    await session.write(b"\x04")
                else:
                    await session.close_stdin()
        return heard, await session.wait(), pod.text(name)


@pytest.mark.parametrize("tty", [False, True])
def test_attach_reads_and_writes_the_main_process(node: Node, tty: bool) -> None:
    heard, code, text = node.run(_attach, tty)
    assert heard.replace(b"\r", b"").removeprefix(b"one\n") == b"heard one\nover\n"
    assert code == 4
    assert "heard one" in text


async def _probes(runtime: Runtime) -> dict[str, Any]:
    async with Pod(runtime) as pod:
        name = await pod.start("sleep", "1000")
        good = await runtime.run(name, ["sh", "-c", "echo fine; exit 3"], timeout=10)
        loud = await runtime.run(name, ["sh", "-c", "head -c 300000 /dev/zero"], timeout=10, limit=1000)
        started = time.monotonic()
        slow = await runtime.run(name, ["sh", "-c", "echo wait; setsid sleep 3000 & sleep 3000"], timeout=0.3)
        seconds = time.monotonic() - started
        left = await runtime.run(name, ["sh", "-c", "ps -o args | grep -c '^sleep 3000'"], timeout=10)
        return {
            "good": (good.code, good.output, good.timed_out),
            "loud": (loud.code, len(loud.output)),
            "slow": (slow.code, slow.output, slow.timed_out, seconds < 2),
            "left": left.output,
        }


def test_a_probe_that_takes_too_long_is_killed_with_all_it_started(node: Node) -> None:
    found = node.run(_probes)
    assert found == {
        "good": (3, b"fine\n", False),
        "loud": (0, 1000),
        "slow": (137, b"wait\n", True, True),
        "left": b"0\n",
    }


async def _zombies(runtime: Runtime) -> tuple[int, int]:
    async with Pod(runtime) as pod:
        name = await pod.start("sh", "-c", "for i in $(seq 300); do (true &) ; done; exec sleep 1000")
        await pod.until(lambda: (pod.runtime.process(name) or 0) > 0)
        for _ in range(100):
            await runtime.run(name, ["sh", "-c", "true & exit 0"], timeout=10)
        await runtime.kill(name)
        await pod.exit(name)
    zombies = 0
    for _ in range(200):
        zombies = sum(_state(pid) == "Z" for pid in _pids())
        if not zombies:
            break
        await asyncio.sleep(0.01)
    return zombies, len(runtime.processes._watchers)


def _pids() -> list[int]:
    import os

    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _state(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def test_hundreds_of_orphans_are_reaped(node: Node) -> None:
    zombies, watched = node.run(_zombies)
    assert zombies == 0
    assert watched == 1, "nobody but the maker of sandboxes is left to wait for"


async def _idempotent(runtime: Runtime) -> bool:
    async with Pod(runtime) as pod:
        again = await runtime.create_sandbox(pod.config)
        name = await pod.start("sleep", "1000")
        await runtime.start(name)
        await asyncio.gather(runtime.remove(name), runtime.remove(name))
        await runtime.kill(name)
        await runtime.signal(name, 15)
        await runtime.remove(name)
    await runtime.remove_sandbox(pod.uid)
    return bool(again.pid == pod.sandbox.pid)


def test_every_call_can_be_repeated(node: Node) -> None:
    assert node.run(_idempotent)


async def _usage(runtime: Runtime) -> tuple[int, int]:
    async with Pod(runtime) as pod:
        name = await pod.start(
            "sh", "-c", "a=$(head -c 20000000 /dev/zero | tr '\\0' x); echo ready; while :; do :; done"
        )
        await pod.until(lambda: "ready" in pod.text(name))
        first = runtime.usage(name)
        await asyncio.sleep(0.3)
        second = runtime.usage(name)
        return second.cpu_nanoseconds - first.cpu_nanoseconds, second.memory_working_set


def test_usage_counts_processor_time_and_memory(node: Node) -> None:
    nanoseconds, memory = node.run(_usage)
    assert 20_000_000 < nanoseconds < 400_000_000
    assert 20_000_000 < memory < 100_000_000


# What takes control groups


@pytest.fixture
def limited(root_node: Node) -> Node:
    if root_node.ready["missing"]:
        pytest.skip(root_node.ready["missing"])
    return root_node


async def _out_of_memory(runtime: Runtime) -> list[tuple[int, int, bool]]:
    async with Pod(runtime) as pod:
        limits = Limits(memory_bytes=32 * 1024 * 1024)
        ends = [(await pod.sh("exec tail /dev/zero", limits=limits))[0], (await pod.sh("exit 1", limits=limits))[0]]
    async with Pod(runtime, memory_limit=32 * 1024 * 1024) as pod:
        ends.append((await pod.sh("exec tail /dev/zero"))[0])
    return [(end.code, end.signal, end.oom_killed) for end in ends]


def test_out_of_memory_is_told_from_other_ends(limited: Node) -> None:
    assert limited.run(_out_of_memory) == [(137, 9, True), (1, 0, False), (137, 9, True)]


async def _throttled(runtime: Runtime) -> float:
    async with Pod(runtime) as pod:
        name = await pod.start("sh", "-c", "while :; do :; done", limits=Limits(cpu_quota_microseconds=20_000))
        first = runtime.usage(name)
        await asyncio.sleep(1.5)
        second = runtime.usage(name)
        return float((second.cpu_nanoseconds - first.cpu_nanoseconds) / 1e9 / (second.time - first.time))


def test_a_processor_limit_holds(limited: Node) -> None:
    assert limited.run(_throttled) < 0.28


async def _fork_bomb(runtime: Runtime) -> tuple[int, int]:
    async with Pod(runtime) as pod:
        name = await pod.start("sh", "-c", "f() { f | f & }; f; sleep 1000", limits=Limits(pids=30))
        group = runtime._cgroups._group("pids", pod.uid, name)
        await pod.until(lambda: int((group / "pids.events").read_text().split()[1]) > 0)
        most = int((group / "pids.current").read_text())
        await runtime.kill(name)
        return most, (await pod.exit(name)).code


def test_a_fork_bomb_is_bounded(limited: Node) -> None:
    most, code = limited.run(_fork_bomb)
    assert most <= 30
    assert code != 0


def test_devices_of_the_machine_stay_out_of_reach(node: Node) -> None:
    code, text = sh(node, "for disk in /tmp/disk /dev/disk; do mknod $disk b 254 0; head -c 1 $disk && echo read; done")
    assert code != 0
    assert "read" not in text


def test_a_container_sees_its_own_control_group(limited: Node) -> None:
    limits = Limits(memory_bytes=64 * 1024 * 1024)
    code, text = sh(
        limited, "cat /sys/fs/cgroup/memory/memory.limit_in_bytes || cat /sys/fs/cgroup/memory.max", limits=limits
    )
    assert (code, text.strip()) == (0, str(64 * 1024 * 1024))
