"""What the kubelet decides without asking anybody: restarts, rights, limits, names, environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seatrial.cluster.node.kubelet import environment, limits, names, restarts, security
from seatrial.cluster.node.kubelet.environment import Place
from seatrial.cluster.node.kubelet.names import Resolving
from seatrial.cluster.node.kubelet.records import Record, Role
from seatrial.cluster.node.kubelet.security import ConfigError
from seatrial.cluster.node.kubelet.users import User

ALL = frozenset({"CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW", "CAP_SYS_ADMIN", "CAP_NET_ADMIN"})
PLACE = Place("10.0.0.9", "10.0.0.1", {"cpu": "4", "memory": "1073741824"})


def record(role: Role = Role.MAIN, **spec: Any) -> Record:
    return Record(role, {"name": "c", **spec}, {})


def pod(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p", "namespace": "ns"}, "spec": {"containers": [], **spec}}


# restarts


def test_the_delay_doubles_to_five_minutes_and_a_long_run_forgets_it() -> None:
    found: list[float] = [restarts.delay(None, 1)]
    while len(found) < 8:
        found.append(restarts.delay(found[-1], 1))
    assert found == [0, 10, 20, 40, 80, 160, 300, 300]
    assert restarts.delay(300, 600) == 0


@pytest.mark.parametrize(
    ("policy", "role", "code", "again"),
    [
        ("Always", Role.MAIN, 0, True),
        ("OnFailure", Role.MAIN, 0, False),
        ("OnFailure", Role.MAIN, 1, True),
        ("Never", Role.MAIN, 1, False),
        ("Always", Role.INIT, 0, False),
        ("Always", Role.INIT, 1, True),
        ("Never", Role.INIT, 1, False),
        ("Never", Role.SIDECAR, 0, True),
    ],
)
def test_who_runs_again(policy: str, role: Role, code: int, again: bool) -> None:
    assert restarts.again(record(role), code, pod(restartPolicy=policy)) is again


def test_the_container_s_own_policy_and_rules_come_first() -> None:
    rules = [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]
    mine = record(restartPolicy="Never", restartPolicyRules=rules)
    assert restarts.again(mine, 42, pod()) and not restarts.again(mine, 1, pod())


# rights


def secured(own: dict[str, Any], shared: dict[str, Any] | None = None, user: str = "") -> Any:
    def find(asked: str) -> User:
        uid = int(asked) if asked.isdecimal() else 1000 if asked else 0
        return User(uid, uid, (7,), "/", asked.isdecimal() or not asked)

    container = {"name": "c", "securityContext": own}
    given = pod(securityContext=shared or {})
    return security.security(given, container, user, find, available=ALL, profiles=Path("/none"))[0]


@pytest.mark.parametrize(
    ("wished", "kept"),
    [
        ({"drop": ["ALL"]}, ()),
        ({"drop": ["ALL"], "add": ["NET_RAW"]}, ("CAP_NET_RAW",)),
        ({"add": ["NET_RAW"], "drop": ["net_raw", "ALL"]}, ()),
        ({"add": ["ALL"], "drop": ["SYS_ADMIN"]}, tuple(sorted(ALL - {"CAP_SYS_ADMIN"}))),
        ({"add": ["ALL"], "drop": ["ALL"]}, ()),
    ],
)
def test_capabilities_added_and_dropped(wished: dict[str, list[str]], kept: tuple[str, ...]) -> None:
    assert secured({"capabilities": wished}).capabilities == kept


def test_the_container_s_word_goes_before_the_pod_s() -> None:
    made = secured({"runAsUser": 5, "runAsGroup": 6}, {"runAsUser": 1, "runAsGroup": 2, "fsGroup": 3})
    assert (made.uid, made.gid, set(made.groups)) == (5, 6, {3, 7})
    strict = secured({}, {"supplementalGroups": [8], "supplementalGroupsPolicy": "Strict"})
    assert strict.groups == (8,)


def test_escalation_is_possible_unless_refused() -> None:
    assert secured({"allowPrivilegeEscalation": False}).no_new_privileges
    assert not secured({}).no_new_privileges
    assert not secured({"allowPrivilegeEscalation": False, "privileged": True}).no_new_privileges


@pytest.mark.parametrize(("user", "said"), [("", "run as root"), ("web", "non-numeric user")])
def test_non_root_is_believed_of_numbers_alone(user: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        secured({"runAsNonRoot": True}, user=user)
    secured({"runAsNonRoot": True, "runAsUser": 9}, user=user)


def test_a_seccomp_profile_stays_in_its_directory() -> None:
    for name in ("../../etc/passwd", "/etc/passwd", ""):
        profile = {"type": "Localhost", "localhostProfile": name}
        with pytest.raises(ConfigError, match="no such file"):
            secured({"seccompProfile": profile})


# limits


@pytest.mark.parametrize(
    ("resources", "shares", "quota", "memory"),
    [
        ({}, 2, None, None),
        ({"requests": {"cpu": "500m"}}, 512, None, None),
        ({"limits": {"cpu": "2", "memory": "64Mi"}}, 2048, 200_000, 67_108_864),
        ({"limits": {"cpu": "1m"}}, 2, 1000, None),
    ],
)
def test_resources_as_control_groups_count(
    resources: dict[str, Any], shares: int, quota: int | None, memory: int | None
) -> None:
    made = limits.limits(pod(), {"resources": resources}, 2**30)
    assert (made.cpu_shares, made.cpu_quota_microseconds, made.memory_bytes) == (shares, quota, memory)


@pytest.mark.parametrize(("quality", "score"), [("Guaranteed", -997), ("BestEffort", 1000), ("Burstable", 750)])
def test_who_goes_first_when_memory_is_used_up(quality: str, score: int) -> None:
    given = {**pod(), "status": {"qosClass": quality}}
    assert limits.limits(given, {"resources": {"requests": {"memory": "256Mi"}}}, 2**30).oom_score_adj == score


# names


def test_resolv_conf_by_policy() -> None:
    resolving = Resolving("10.96.0.10", machine="search corp.example\nnameserver 1.2.3.4\noptions timeout:1\n")
    first = names.resolv_conf(pod(), resolving).splitlines()
    assert first[0] == "search ns.svc.cluster.local svc.cluster.local cluster.local corp.example"
    assert first[1:] == ["nameserver 10.96.0.10", "options timeout:1 ndots:5"]
    assert "svc.cluster" not in names.resolv_conf(pod(dnsPolicy="Default"), resolving)
    own = {"nameservers": ["9.9.9.9"], "searches": ["a.b"], "options": [{"name": "ndots", "value": "2"}]}
    alone = names.resolv_conf(pod(dnsPolicy="None", dnsConfig=own), resolving)
    assert alone == "search a.b\nnameserver 9.9.9.9\noptions ndots:2\n"


def test_host_names() -> None:
    given = pod(hostname="web-0", subdomain="db")
    assert names.hostname(given) == "web-0"
    assert "10.0.0.9\tweb-0.db.ns.svc.cluster.local\tweb-0" in names.hosts(given, "10.0.0.9", "cluster.local")
    assert names.hostname(pod(hostname="x", hostnameOverride="other.example")) == "other.example"
    assert names.hostname(pod(hostname="x", subdomain="s", setHostnameAsFQDN=True)) == "x.s.ns.svc.cluster.local"
    aliases = names.hosts(pod(hostAliases=[{"ip": "1.1.1.1", "hostnames": ["a", "b"]}]), "10.0.0.9", "x")
    assert aliases.endswith("1.1.1.1\ta\tb\n")


# environment


@pytest.mark.parametrize(
    ("text", "expanded"),
    [("$(A)", "1"), ("$$(A)", "$(A)"), ("$(B)", "$(B)"), ("x$(A)y$(A)", "x1y1"), ("$A $", "$A $"), ("$$$(A)", "$1")],
)
def test_references(text: str, expanded: str) -> None:
    assert environment.expand(text, {"A": "1"}) == expanded


def test_later_entries_win_and_optional_ones_may_be_missing() -> None:
    held = {("ConfigMap", "m"): {"metadata": {"name": "m", "namespace": "ns"}, "data": {"A": "map", "B": "map"}}}
    optional = {"secretKeyRef": {"name": "none", "key": "k", "optional": True}}
    container = {
        "name": "c",
        "envFrom": [{"configMapRef": {"name": "m"}}, {"secretRef": {"name": "none", "optional": True}}],
        "env": [
            {"name": "A", "value": "own"},
            {"name": "C", "valueFrom": optional},
            {"name": "D", "value": "$(B)$(A)"},
        ],
    }
    made = environment.environment(pod(), container, lambda kind, name: held.get((kind, name)), [], PLACE)
    assert made == {"A": "own", "B": "map", "D": "mapown"}
    assert set(environment.sources(container)) == {("ConfigMap", "m"), ("Secret", "none")}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"configMapKeyRef": {"name": "none", "key": "k"}}, 'configmap "none" not found'),
        ({"secretKeyRef": {"name": "s", "key": "k"}}, "couldn't find key k in Secret ns/s"),
        ({"secretKeyRef": {"name": "s", "key": "bytes"}}, "is no text"),
    ],
)
def test_what_is_missing_is_named(entry: dict[str, Any], said: str) -> None:
    secret = {"metadata": {"name": "s", "namespace": "ns"}, "data": {"bytes": "//8="}}
    container = {"name": "c", "env": [{"name": "A", "valueFrom": entry}]}
    with pytest.raises(ConfigError, match=said):
        environment.environment(pod(), container, lambda _, name: secret if name == "s" else None, [], PLACE)


def test_services_are_linked_unless_that_is_off() -> None:
    spec = {"clusterIP": "10.96.0.7", "ports": [{"name": "http", "port": 80}]}
    web = {"metadata": {"name": "my-web", "namespace": "ns"}, "spec": spec}
    api = {
        "metadata": {"name": "kubernetes", "namespace": "default"},
        "spec": {"clusterIP": "10.96.0.1", "ports": [{"port": 443}]},
    }
    linked = environment.service_links(pod(), [web, api])
    assert linked["MY_WEB_SERVICE_HOST"] == "10.96.0.7" and linked["MY_WEB_SERVICE_PORT_HTTP"] == "80"
    assert linked["MY_WEB_PORT_80_TCP_ADDR"] == "10.96.0.7" and linked["MY_WEB_PORT"] == "tcp://10.96.0.7:80"
    assert linked["KUBERNETES_SERVICE_HOST"] == "10.96.0.1"
    alone = environment.service_links(pod(enableServiceLinks=False), [web, api])
    assert "KUBERNETES_SERVICE_HOST" in alone and "MY_WEB_SERVICE_HOST" not in alone
