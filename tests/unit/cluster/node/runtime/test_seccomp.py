from __future__ import annotations

from typing import Any

from seatrial.cluster.node.runtime.seccomp import default_profile


def refused(*capabilities: str) -> set[str]:
    rules: list[dict[str, Any]] = default_profile(capabilities, "x86_64")["syscalls"]
    return {name for rule in rules if "args" not in rule for name in rule["names"]}


def test_calls_that_reach_out_of_the_container_are_refused() -> None:
    assert {"mount", "setns", "unshare", "bpf", "keyctl", "kexec_load", "init_module", "io_uring_setup"} <= refused()


def test_everyday_calls_are_not() -> None:
    assert not {"read", "clone", "execve", "socket", "ptrace", "chroot", "futex", "mlock"} & refused()


def test_a_capability_lifts_what_it_is_for() -> None:
    assert refused() - refused("CAP_SYS_TIME") == {
        "settimeofday", "stime", "clock_settime", "clock_settime64", "clock_adjtime", "clock_adjtime64", "adjtimex"
    }  # fmt: skip
    assert not {"mount", "bpf", "clone3", "perf_event_open"} & refused("CAP_SYS_ADMIN")


def test_no_capability_lifts_what_nobody_needs() -> None:
    assert "kexec_load" in refused("CAP_SYS_ADMIN", "CAP_SYS_BOOT")


def test_clone_is_refused_for_new_namespaces_only() -> None:
    rules = [rule for rule in default_profile((), "x86_64")["syscalls"] if rule["names"] == ["clone"]]
    assert len(rules) == 7
    assert all(rule["args"][0]["op"] == "SCMP_CMP_MASKED_EQ" for rule in rules)
    assert all(rule["args"][0]["value"] == rule["args"][0]["valueTwo"] for rule in rules)
