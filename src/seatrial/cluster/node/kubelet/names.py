"""What a pod's containers find in /etc/hosts and /etc/resolv.conf, and what their host is called (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from seatrial.kube.model.objects import Object

_LONGEST_HOST_NAME = 63
_MOST_SERVERS, _MOST_DOMAINS = 3, 32


@dataclass(frozen=True, slots=True)
class Resolving:
    """How names are looked up on this node."""

    cluster_server: str
    cluster_domain: str = "cluster.local"
    machine: str = ""
    """The text of the machine's own resolv.conf."""


def hostname(pod: Object) -> str:
    """KEP-4762: `hostnameOverride` wins over everything."""
    spec = pod["spec"]
    if spec.get("hostnameOverride"):
        return str(spec["hostnameOverride"])
    if spec.get("setHostnameAsFQDN") and spec.get("subdomain"):
        return fully_qualified(pod, "cluster.local")
    return str(spec.get("hostname") or objects.name(pod))[:_LONGEST_HOST_NAME].rstrip("-.")


def fully_qualified(pod: Object, domain: str) -> str:
    """ "" for a pod without a subdomain."""
    spec = pod["spec"]
    if not spec.get("subdomain"):
        return ""
    host = spec.get("hostname") or objects.name(pod)
    return f"{host}.{spec['subdomain']}.{objects.namespace(pod)}.svc.{domain}"


def hosts(pod: Object, address: str, domain: str) -> str:
    lines = [
        "# Kubernetes-managed hosts file.",
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::0\tip6-localnet",
        "fe00::0\tip6-mcastprefix",
        "fe00::1\tip6-allnodes",
        "fe00::2\tip6-allrouters",
    ]
    name, full = hostname(pod), fully_qualified(pod, domain)
    lines.append(f"{address}\t{full}\t{name}" if full and full != name else f"{address}\t{name}")
    aliases = pod["spec"].get("hostAliases") or []
    if aliases:
        lines += ["", "# Entries added by HostAliases."]
        lines += ["\t".join((alias["ip"], *(alias.get("hostnames") or ()))) for alias in aliases]
    return "\n".join(lines) + "\n"


def resolv_conf(pod: Object, resolving: Resolving) -> str:
    """By `dnsPolicy`. `Default` asks the node's own resolver too, which forwards to those of the machine: the machine's
    addresses cannot be reached from a pod.
    """
    spec = pod["spec"]
    policy, given = spec.get("dnsPolicy", "ClusterFirst"), spec.get("dnsConfig") or {}
    servers: list[str] = []
    domains: list[str] = []
    options: dict[str, str] = {}
    if policy != "None":
        servers, domains = [resolving.cluster_server], _searched(resolving.machine)
        options = _options(_words(resolving.machine, "options"))
    if policy == "ClusterFirstWithHostNet" or (policy == "ClusterFirst" and not spec.get("hostNetwork")):
        cluster = resolving.cluster_domain
        domains = [f"{objects.namespace(pod)}.svc.{cluster}", f"svc.{cluster}", cluster, *domains]
        options["ndots"] = "5"
    servers = _unique([*servers, *(given.get("nameservers") or [])])[:_MOST_SERVERS]
    domains = _unique([*domains, *(given.get("searches") or [])])[:_MOST_DOMAINS]
    options |= {option["name"]: option.get("value") or "" for option in given.get("options") or []}
    lines = []
    if domains:
        lines.append("search " + " ".join(domains))
    lines += [f"nameserver {server}" for server in servers]
    if options:
        lines.append("options " + " ".join(f"{name}:{value}" if value else name for name, value in options.items()))
    return "".join(line + "\n" for line in lines)


def _words(text: str, keyword: str) -> list[str]:
    """The arguments of the last line that begins with the keyword."""
    found: list[str] = []
    for line in text.splitlines():
        words = line.split()
        if words and words[0] == keyword:
            found = words[1:]
    return found


def _searched(text: str) -> list[str]:
    return [word for word in _words(text, "search") if word != "."]


def _options(words: Iterable[str]) -> dict[str, str]:
    return {name: value for name, _, value in (word.partition(":") for word in words)}


def _unique(values: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(values))
