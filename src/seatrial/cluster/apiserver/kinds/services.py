"""Services: defaults, ports, and which address fields may change. Addresses and node ports are allocated elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.apiserver.kinds import checks, metadata, names
from seatrial.cluster.apiserver.kinds.rules import Rules, setdefaults, struct, text
from seatrial.kube.model.status import Cause, duplicate_value, forbidden_value, invalid_value, required

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
NODE_PORTS = range(30000, 32768)
AFFINITY_SECONDS = 10800
_LONGEST_AFFINITY = 86400
_PROTOCOLS = ("SCTP", "TCP", "UDP")


def default(obj: Object) -> None:
    spec = struct(obj, "spec")
    spec["type"] = spec.get("type") or "ClusterIP"
    spec["sessionAffinity"] = spec.get("sessionAffinity") or "None"
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    elif spec["sessionAffinity"] == "ClientIP":
        client = struct(struct(spec, "sessionAffinityConfig"), "clientIP")
        setdefaults(client, timeoutSeconds=AFFINITY_SECONDS)
    for port in spec.get("ports") or []:
        port["protocol"] = port.get("protocol") or "TCP"
        port["targetPort"] = port.get("targetPort") or port.get("port")
    _default_traffic(spec)
    for ingress in ((obj.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []:
        if ingress.get("ip"):
            setdefaults(ingress, ipMode="VIP")


def _default_traffic(spec: dict[str, Any]) -> None:
    if spec["type"] != "ExternalName":
        setdefaults(spec, internalTrafficPolicy="Cluster")
    if _reached_from_outside(spec):
        spec["externalTrafficPolicy"] = spec.get("externalTrafficPolicy") or "Cluster"
    if spec["type"] == "LoadBalancer":
        setdefaults(spec, allocateLoadBalancerNodePorts=True)


def _reached_from_outside(spec: dict[str, Any]) -> bool:
    return spec["type"] in ("LoadBalancer", "NodePort") or (
        spec["type"] == "ClusterIP" and bool(spec.get("externalIPs"))
    )


def is_headless(spec: dict[str, Any]) -> bool:
    return "None" in (spec.get("clusterIP"), *(spec.get("clusterIPs") or [])[:1])


def validate(obj: Object) -> list[Cause]:
    spec = obj["spec"]
    return [
        *checks.one_of(spec.get("type"), "spec.type", TYPES),
        *_by_type(spec),
        *_ports(spec),
        *metadata.labels(spec.get("selector"), "spec.selector"),
        *_affinity(spec),
        *_addresses(spec),
        *_traffic(spec),
        *_load_balancer(spec),
    ]


def _by_type(spec: dict[str, Any]) -> list[Cause]:
    kind, headless = spec.get("type"), is_headless(spec)
    causes: list[Cause] = []
    if not spec.get("ports") and not headless and kind != "ExternalName":
        causes.append(required("spec.ports"))
    if kind in ("LoadBalancer", "NodePort") and headless:
        detail = f"may not be set to 'None' for {kind} services"
        causes.append(invalid_value("spec.clusterIPs[0]", "None", detail))
    if kind != "ExternalName":
        return causes
    causes += [
        forbidden_value(f"spec.{field}", "may not be set for ExternalName services")
        for field in ("clusterIPs", "ipFamilies", "ipFamilyPolicy")
        if spec.get(field)
    ]
    target = (spec.get("externalName") or "").removesuffix(".")
    return causes + checks.named(target, "spec.externalName", names.subdomain)


def _ports(spec: dict[str, Any]) -> list[Cause]:
    ports = spec.get("ports") or []
    causes: list[Cause] = []
    names_seen: set[str] = set()
    for index, port in enumerate(ports):
        field = f"spec.ports[{index}]"
        name = port.get("name") or ""
        if name or len(ports) > 1:
            causes += checks.named(name, f"{field}.name", names.label)
        if name in names_seen:
            causes.append(duplicate_value(f"{field}.name", name))
        names_seen.add(name or f"\0{index}")
        causes += _port(port, field, spec)
    return causes + _duplicates(ports)


def _port(port: dict[str, Any], field: str, spec: dict[str, Any]) -> list[Cause]:
    causes = [
        *checks.port(port.get("port"), f"{field}.port"),
        *checks.one_of(port.get("protocol"), f"{field}.protocol", _PROTOCOLS),
        *checks.port(port.get("targetPort"), f"{field}.targetPort"),
        *checks.optional_name(port.get("appProtocol"), f"{field}.appProtocol", names.qualified),
    ]
    node_port = port.get("nodePort")
    if node_port and spec.get("type") == "ClusterIP":
        causes.append(forbidden_value(f"{field}.nodePort", "may not be used when `type` is 'ClusterIP'"))
    elif node_port and node_port not in NODE_PORTS:
        causes.append(
            invalid_value(
                f"{field}.nodePort",
                node_port,
                "provided port is not in the valid range. The range of valid ports is "
                f"{NODE_PORTS.start}-{NODE_PORTS.stop - 1}",
            )
        )
    return causes


def _duplicates(ports: list[dict[str, Any]]) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[tuple[Any, Any]] = set()
    nodes: set[tuple[Any, Any]] = set()
    for index, port in enumerate(ports):
        key = (port.get("protocol"), port.get("port"))
        if key in seen:
            shown = {"port": key[1], "protocol": key[0], "targetPort": 0}
            causes.append(duplicate_value(f"spec.ports[{index}]", shown))
        seen.add(key)
        node = (port.get("protocol"), port.get("nodePort"))
        if port.get("nodePort") and node in nodes:
            causes.append(duplicate_value(f"spec.ports[{index}].nodePort", node[1]))
        nodes.add(node)
    return causes


def _affinity(spec: dict[str, Any]) -> list[Cause]:
    field = "spec.sessionAffinity"
    causes = checks.one_of(spec.get("sessionAffinity"), field, ("ClientIP", "None"))
    client = (spec.get("sessionAffinityConfig") or {}).get("clientIP") or {}
    seconds = client.get("timeoutSeconds")
    if seconds is not None and not 0 < seconds <= _LONGEST_AFFINITY:
        detail = f"must be greater than 0 and less than {_LONGEST_AFFINITY}"
        causes.append(invalid_value(f"{field}Config.clientIP.timeoutSeconds", seconds, detail))
    return causes


def _addresses(spec: dict[str, Any]) -> list[Cause]:
    causes: list[Cause] = []
    address, addresses = spec.get("clusterIP"), spec.get("clusterIPs") or []
    if address and addresses and addresses[0] != address:
        detail = "first value must match `clusterIP`"
        causes.append(invalid_value("spec.clusterIPs", addresses, detail))
    for index, found in enumerate(addresses):
        if found != "None":
            causes += checks.address(found, f"spec.clusterIPs[{index}]")
    if address and address != "None" and not addresses:
        causes += checks.address(address, "spec.clusterIPs[0]")
    for index, found in enumerate(spec.get("externalIPs") or []):
        causes += checks.address(found, f"spec.externalIPs[{index}]")
    for index, family in enumerate(spec.get("ipFamilies") or []):
        causes += checks.one_of(family, f"spec.ipFamilies[{index}]", ("IPv4", "IPv6"))
    return causes + checks.optional_one_of(
        spec.get("ipFamilyPolicy"),
        "spec.ipFamilyPolicy",
        ("PreferDualStack", "RequireDualStack", "SingleStack"),
    )


def _traffic(spec: dict[str, Any]) -> list[Cause]:
    field, policies = "spec.externalTrafficPolicy", ("Cluster", "Local")
    policy = spec.get("externalTrafficPolicy")
    if _reached_from_outside(spec):
        causes = checks.one_of(policy, field, policies)
    elif policy:
        causes = [invalid_value(field, policy, "may only be set for externally-accessible services")]
    else:
        causes = []
    return [
        *causes,
        *checks.optional_one_of(spec.get("internalTrafficPolicy"), "spec.internalTrafficPolicy", policies),
        *checks.optional_one_of(
            spec.get("trafficDistribution"),
            "spec.trafficDistribution",
            ("PreferClose", "PreferSameNode", "PreferSameZone"),
        ),
    ]


def _load_balancer(spec: dict[str, Any]) -> list[Cause]:
    if spec.get("type") == "LoadBalancer":
        return [
            cause
            for index, value in enumerate(spec.get("loadBalancerSourceRanges") or [])
            for cause in checks.cidr(value.strip(), f"spec.LoadBalancerSourceRanges[{index}]")
        ]
    return [
        forbidden_value(f"spec.{field}", "may only be used when `type` is 'LoadBalancer'")
        for field in ("loadBalancerSourceRanges", "allocateLoadBalancerNodePorts", "loadBalancerClass")
        if spec.get(field) not in (None, [])
    ]


def update(obj: Object, old: Object) -> None:
    """A client that replaces a Service rarely repeats what was allocated; what its type cannot have is dropped."""
    spec, old_spec = obj["spec"], old["spec"]
    if spec.get("clusterIP") != old_spec.get("clusterIP") and spec.get("clusterIPs") == old_spec.get("clusterIPs"):
        spec["clusterIPs"] = [spec["clusterIP"]] if spec.get("clusterIP") else []
    _drop_foreign(spec, old_spec)
    if "ExternalName" in (spec.get("type"), old_spec.get("type")):
        return
    for field in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
        if not spec.get(field) and old_spec.get(field):
            spec[field] = old_spec[field]
    if spec.get("type") == "ClusterIP":
        return
    allocated = {_port_key(port): port.get("nodePort") for port in old_spec.get("ports") or []}
    for port in spec.get("ports") or []:
        kept = allocated.get(_port_key(port))
        if kept and not port.get("nodePort"):
            port["nodePort"] = kept
    if _checks_health(spec) and _checks_health(old_spec) and not spec.get("healthCheckNodePort"):
        setdefaults(spec, healthCheckNodePort=old_spec.get("healthCheckNodePort"))


def _port_key(port: dict[str, Any]) -> tuple[Any, Any]:
    return port.get("protocol"), port.get("port")


def _checks_health(spec: dict[str, Any]) -> bool:
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def _drop_foreign(spec: dict[str, Any], old: dict[str, Any]) -> None:
    """After a change of type, fields that only the old type had go, if the client just echoed them."""
    foreign: list[str] = []
    if spec.get("type") == "ExternalName":
        foreign += ["clusterIP", "clusterIPs", "internalTrafficPolicy", "ipFamilies", "ipFamilyPolicy"]
    if not _reached_from_outside(spec):
        foreign.append("externalTrafficPolicy")
        allocated = {_port_key(port): port.get("nodePort") for port in old.get("ports") or []}
        for port in spec.get("ports") or []:
            if port.get("nodePort") and allocated.get(_port_key(port)) == port["nodePort"]:
                del port["nodePort"]
    if spec.get("type") != "LoadBalancer":
        foreign += ["allocateLoadBalancerNodePorts", "loadBalancerClass"]
    if not _checks_health(spec):
        foreign.append("healthCheckNodePort")
    for field in foreign:
        if field in spec and spec[field] == old.get(field):
            del spec[field]


def validate_update(obj: Object, old: Object) -> list[Cause]:
    """An address, once given, stays, unless the Service turns to or from ExternalName."""
    spec, old_spec = obj["spec"], old["spec"]
    if "ExternalName" in (spec.get("type"), old_spec.get("type")):
        return []
    causes: list[Cause] = []
    address, old_address = _first(spec, "clusterIPs", "clusterIP"), _first(old_spec, "clusterIPs", "clusterIP")
    if old_address and address != old_address:
        detail = "may not change once set"
        causes.append(invalid_value("spec.clusterIPs[0]", spec.get("clusterIPs"), detail))
    family, old_family = _first(spec, "ipFamilies"), _first(old_spec, "ipFamilies")
    if old_family and family and family != old_family:
        causes.append(invalid_value("spec.ipFamilies[0]", family, "may not change once set"))
    if old_spec.get("type") == spec.get("type") == "LoadBalancer":
        causes += checks.unchanged(
            spec.get("loadBalancerClass"),
            old_spec.get("loadBalancerClass"),
            "spec.loadBalancerClass",
            "may not change once set",
        )
    return causes


def _first(spec: dict[str, Any], *keys: str) -> Any:
    for key in keys:
        value = spec.get(key)
        if value:
            return value[0] if isinstance(value, list) else value
    return None


RULES = Rules(
    default=default,
    update=update,
    validate=validate,
    validate_update=validate_update,
    fields={"spec.clusterIP": text("spec", "clusterIP"), "spec.type": text("spec", "type")},
    name=names.label,
    empty_status={"loadBalancer": {}},
    create_on_update=True,
)
