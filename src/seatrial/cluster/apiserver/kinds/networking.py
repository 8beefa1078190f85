"""The networking group: Ingress, IngressClass, NetworkPolicy, and the two kinds behind Service addresses."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from seatrial.cluster.apiserver.kinds import checks, names
from seatrial.cluster.apiserver.kinds.rules import Rules, dig, setdefaults, struct
from seatrial.kube.model import objects
from seatrial.kube.model.status import Cause, forbidden_value, invalid_value, required

if TYPE_CHECKING:
    from seatrial.kube.model.objects import Object

_PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_BAD_SEQUENCES = ("//", "/./", "/../", "%2f", "%2F")
_BAD_ENDINGS = ("/..", "/.")


def _validate_ingress(obj: Object) -> list[Cause]:
    spec = obj.get("spec") or {}
    rules, fallback = spec.get("rules") or [], spec.get("defaultBackend")
    causes: list[Cause] = []
    if not rules and fallback is None:
        detail = "either `defaultBackend` or `rules` must be specified"
        causes.append(invalid_value("spec", rules, detail))
    if fallback is not None:
        causes += _backend(fallback, "spec.defaultBackend")
    for index, rule in enumerate(rules):
        causes += _rule(rule, f"spec.rules[{index}]")
    for index, tls in enumerate(spec.get("tls") or []):
        for at, host in enumerate(tls.get("hosts") or []):
            causes += _host(host, f"spec.tls[{index}].hosts[{at}]")
    return causes + checks.optional_name(spec.get("ingressClassName"), "spec.ingressClassName", names.subdomain)


def _rule(rule: dict[str, Any], field: str) -> list[Cause]:
    host = rule.get("host")
    causes = _host(host, f"{field}.host") if host else []
    http = rule.get("http")
    if http is None:
        return causes
    paths = http.get("paths") or []
    if not paths:
        return [*causes, required(f"{field}.http.paths")]
    for index, path in enumerate(paths):
        causes += _path(path, f"{field}.http.paths[{index}]")
    return causes


def _host(host: str, field: str) -> list[Cause]:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        check = names.wildcard if "*" in host else names.subdomain
        return [invalid_value(field, host, complaint) for complaint in check(host)]
    return [invalid_value(field, host, "must be a DNS name, not an IP address")]


def _path(path: dict[str, Any], field: str) -> list[Cause]:
    kind, text = path.get("pathType"), path.get("path") or ""
    if not kind:
        causes = [required(f"{field}.pathType", "pathType must be specified")]
    else:
        causes = checks.one_of(kind, f"{field}.pathType", _PATH_TYPES)
    if kind in ("Exact", "Prefix"):
        causes += _exact_path(text, f"{field}.path")
    elif text and not text.startswith("/"):
        causes.append(invalid_value(f"{field}.path", text, "must be an absolute path"))
    return causes + _backend(path.get("backend") or {}, f"{field}.backend")


def _exact_path(text: str, field: str) -> list[Cause]:
    if not text.startswith("/"):
        return [invalid_value(field, text, "must be an absolute path")]
    causes = [invalid_value(field, text, f"must not contain '{bad}'") for bad in _BAD_SEQUENCES if bad in text]
    return causes + [
        invalid_value(field, text, f"cannot end with '{bad}'") for bad in _BAD_ENDINGS if text.endswith(bad)
    ]


def _backend(backend: dict[str, Any], field: str) -> list[Cause]:
    service, resource = backend.get("service"), backend.get("resource")
    if resource is not None and service is not None:
        detail = "cannot set both resource and service backends"
        return [invalid_value(field, "", detail)]
    if resource is not None:
        return [
            required(f"{field}.resource.{key}", f"{key} is required")
            for key in ("kind", "name")
            if not resource.get(key)
        ]
    if service is None or not service.get("name"):
        return [required(f"{field}.service.name")]
    causes = checks.optional_name(service["name"], f"{field}.service.name", names.label)
    port = service.get("port") or {}
    number, name = port.get("number"), port.get("name")
    if number and name:
        return [*causes, invalid_value(f"{field}", "", "cannot set both port name & port number")]
    if name:
        return causes + checks.port(name, f"{field}.service.port.name")
    if number:
        return causes + checks.port(number, f"{field}.service.port.number")
    return [*causes, required(field, "port name or number is required")]


def _ingress_class_conflict(obj: Object) -> list[Cause]:
    """The old annotation and the field may not both choose a class, on creation."""
    chosen, old = dig(obj, "spec", "ingressClassName"), objects.annotations(obj).get(_CLASS_ANNOTATION)
    if not chosen or not old or chosen == old:
        return []
    detail = "must match `ingressClassName` when both are specified"
    return [invalid_value(f"metadata.annotations[{_CLASS_ANNOTATION}]", old, detail)]


def _default_class(obj: Object) -> None:
    parameters = dig(obj, "spec", "parameters")
    if parameters is not None:
        setdefaults(parameters, scope="Cluster")


def _validate_class(obj: Object) -> list[Cause]:
    spec = obj.get("spec") or {}
    controller = spec.get("controller")
    causes: list[Cause] = []
    if not controller:
        causes.append(required("spec.controller"))
    elif "/" not in controller:
        detail = 'must be a domain-prefixed path (such as "acme.io/foo")'
        causes.append(invalid_value("spec.controller", controller, detail))
    parameters = spec.get("parameters")
    if parameters is None:
        return causes
    causes += [required(f"spec.parameters.{key}") for key in ("kind", "name") if not parameters.get(key)]
    scope, namespace = parameters.get("scope"), parameters.get("namespace")
    causes += checks.one_of(scope, "spec.parameters.scope", ("Cluster", "Namespace"))
    if scope == "Namespace" and not namespace:
        detail = "`parameters.scope` is set to 'Namespace'"
        causes.append(required("spec.parameters.namespace", detail))
    if scope == "Cluster" and namespace is not None:
        detail = "`parameters.scope` is set to 'Cluster'"
        causes.append(forbidden_value("spec.parameters.namespace", detail))
    return causes


def _class_update(obj: Object, old: Object) -> list[Cause]:
    return checks.unchanged(dig(obj, "spec", "controller"), dig(old, "spec", "controller"), "spec.controller")


def _default_policy(obj: Object) -> None:
    spec = struct(obj, "spec")
    setdefaults(spec, podSelector={})
    for direction in ("ingress", "egress"):
        for rule in spec.get(direction) or []:
            for port in (rule or {}).get("ports") or []:
                setdefaults(port, protocol="TCP")
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def _validate_policy(obj: Object) -> list[Cause]:
    spec = obj.get("spec") or {}
    causes = checks.selector(spec.get("podSelector"), "spec.podSelector")
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(direction) or []):
            field = f"spec.{direction}[{index}]"
            for at, port in enumerate((rule or {}).get("ports") or []):
                causes += _policy_port(port, f"{field}.ports[{at}]")
            for at, peer in enumerate((rule or {}).get(peers) or []):
                causes += _peer(peer or {}, f"{field}.{peers}[{at}]")
    for index, kind in enumerate(spec.get("policyTypes") or []):
        causes += checks.one_of(kind, f"spec.policyTypes[{index}]", ("Egress", "Ingress"))
    return causes


def _policy_port(port: dict[str, Any], field: str) -> list[Cause]:
    causes = checks.optional_one_of(port.get("protocol"), f"{field}.protocol", _PROTOCOLS)
    number, end = port.get("port"), port.get("endPort")
    if number is not None:
        causes += checks.port(number, f"{field}.port")
    if end is None:
        return causes
    if number is None:
        return [*causes, required(f"{field}.port", "must be specified when `endPort` is specified")]
    if isinstance(number, str):
        detail = "may not be specified when `port` is non-numeric"
        return [*causes, invalid_value(f"{field}.endPort", end, detail)]
    if end < number:
        detail = "must be greater than or equal to `port`"
        causes.append(invalid_value(f"{field}.endPort", end, detail))
    return causes


def _peer(peer: dict[str, Any], field: str) -> list[Cause]:
    block, pods, spaces = (peer.get(key) for key in ("ipBlock", "podSelector", "namespaceSelector"))
    if block is None and pods is None and spaces is None:
        return [required(field, "must specify a peer")]
    if block is not None and (pods is not None or spaces is not None):
        return [forbidden_value(field, "may not specify both ipBlock and another peer")]
    if block is not None:
        return _block(block, f"{field}.ipBlock")
    return [
        *checks.selector(pods, f"{field}.podSelector"),
        *checks.selector(spaces, f"{field}.namespaceSelector"),
    ]


def _block(block: dict[str, Any], field: str) -> list[Cause]:
    if not block.get("cidr"):
        return [required(f"{field}.cidr")]
    causes = checks.cidr(block["cidr"], f"{field}.cidr")
    if causes:
        return causes
    whole = ipaddress.ip_network(block["cidr"], strict=False)
    for index, text in enumerate(block.get("except") or []):
        place = f"{field}.except[{index}]"
        found = checks.cidr(text, place)
        if not found and not _inside(text, whole):
            found = [invalid_value(place, text, "must be a strict subset of `cidr`")]
        causes += found
    return causes


def _inside(text: str, whole: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    part = ipaddress.ip_network(text, strict=False)
    if isinstance(part, ipaddress.IPv4Network) and isinstance(whole, ipaddress.IPv4Network):
        return part != whole and part.subnet_of(whole)
    if isinstance(part, ipaddress.IPv6Network) and isinstance(whole, ipaddress.IPv6Network):
        return part != whole and part.subnet_of(whole)
    return False


def _validate_cidr(obj: Object) -> list[Cause]:
    blocks = dig(obj, "spec", "cidrs") or []
    if not blocks:
        return [required("spec.cidrs", "at least one CIDR required")]
    return [cause for index, text in enumerate(blocks) for cause in checks.cidr(text, f"spec.cidrs[{index}]")]


def _cidr_update(obj: Object, old: Object) -> list[Cause]:
    return checks.unchanged(dig(obj, "spec", "cidrs"), dig(old, "spec", "cidrs"), "spec.cidrs")


def _address_name(name: str) -> list[str]:
    try:
        canonical = str(ipaddress.ip_address(name))
    except ValueError:
        return ["must be a valid IP address in canonical form (RFC 5952)"]
    return [] if canonical == name else [f"must be in canonical form ({canonical!r})"]


def _address_update(obj: Object, old: Object) -> list[Cause]:
    return checks.unchanged(dig(obj, "spec", "parentRef"), dig(old, "spec", "parentRef"), "spec.parentRef")


def _validate_address(obj: Object) -> list[Cause]:
    parent = dig(obj, "spec", "parentRef")
    if not parent:
        return [required("spec.parentRef")]
    return [required(f"spec.parentRef.{key}") for key in ("resource", "name") if not parent.get(key)]


def _validate_new_ingress(obj: Object) -> list[Cause]:
    return _validate_ingress(obj) + _ingress_class_conflict(obj)


RULES = {
    "ingressclasses.networking.k8s.io": Rules(
        default=_default_class, validate=_validate_class, validate_update=_class_update, generation=True
    ),
    "ingresses.networking.k8s.io": Rules(
        validate=_validate_new_ingress, generation=True, empty_status={"loadBalancer": {}}
    ),
    "ipaddresses.networking.k8s.io": Rules(
        validate=_validate_address, validate_update=_address_update, name=_address_name
    ),
    "networkpolicies.networking.k8s.io": Rules(default=_default_policy, validate=_validate_policy, generation=True),
    "servicecidrs.networking.k8s.io": Rules(validate=_validate_cidr, validate_update=_cidr_update),
}
