"""What every new pod is given: its service account's token, the usual tolerations, its priority.

Source: the ServiceAccount, DefaultTolerationSeconds and Priority admission controllers' documentation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seatrial.cluster.apiserver.verbs.naming import generated_name
from seatrial.kube.model import status

if TYPE_CHECKING:
    from seatrial.cluster.apiserver.core import Call, Core
    from seatrial.kube.model.objects import Object

TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
_TOKEN_SECONDS = 3607
_UNHEALTHY_SECONDS = 300
_UNHEALTHY_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_SYSTEM_PRIORITIES = {"system-cluster-critical": 2000000000, "system-node-critical": 2000001000}


def admit(core: Core, call: Call, pod: Object) -> None:
    spec = pod["spec"]
    _service_account(core, call, pod, spec)
    _runtime_class(core, call, pod, spec)
    _tolerations(spec)
    _priority(core, call, pod, spec)


def readmit(pod: Object) -> None:
    """What an update may have left out: whoever applies tolerations replaces the list."""
    _tolerations(pod["spec"])


def _runtime_class(core: Core, call: Call, pod: Object, spec: dict[str, Any]) -> None:
    name = spec.get("runtimeClassName")
    if not name:
        return
    found = core.object("runtimeclasses.node.k8s.io", "", name)
    if found is None:
        shown = call.name_for_errors(pod)
        text = f'pods "{shown}" is forbidden: pod rejected: RuntimeClass "{name}" not found'
        raise status.forbidden(text, call.resource, shown)
    if overhead := (found.get("overhead") or {}).get("podFixed"):
        spec["overhead"] = dict(overhead)
    scheduling = found.get("scheduling") or {}
    if selector := scheduling.get("nodeSelector"):
        spec["nodeSelector"] = {**(spec.get("nodeSelector") or {}), **selector}
    spec["tolerations"] = [*(spec.get("tolerations") or []), *(scheduling.get("tolerations") or [])]


def _service_account(core: Core, call: Call, pod: Object, spec: dict[str, Any]) -> None:
    name = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
    spec["serviceAccountName"] = spec["serviceAccount"] = name
    account = core.object("serviceaccounts", call.namespace, name)
    if account is None:
        # The default account of a namespace made this instant is on its way: its controller never fails to make it.
        if name != "default":
            raise status.forbidden(
                f'pods "{call.name_for_errors(pod)}" is forbidden: error looking up service account '
                f'{call.namespace}/{name}: serviceaccount "{name}" not found',
                call.resource,
                call.name_for_errors(pod),
            )
        account = {}
    if account.get("imagePullSecrets") and not spec.get("imagePullSecrets"):
        spec["imagePullSecrets"] = [dict(item) for item in account["imagePullSecrets"]]
    wanted = spec.get("automountServiceAccountToken", account.get("automountServiceAccountToken", True))
    if wanted:
        _mount_token(spec)


def _mount_token(spec: dict[str, Any]) -> None:
    containers = [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]
    needy = [c for c in containers if all(m.get("mountPath") != TOKEN_PATH for m in c.get("volumeMounts") or [])]
    if not needy:
        return
    name = generated_name("kube-api-access-")
    for container in needy:
        mount = {"name": name, "readOnly": True, "mountPath": TOKEN_PATH}
        container["volumeMounts"] = [*(container.get("volumeMounts") or []), mount]
    spec["volumes"] = [*(spec.get("volumes") or []), _token_volume(name)]


def _token_volume(name: str) -> dict[str, Any]:
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    sources = [
        {"serviceAccountToken": {"expirationSeconds": _TOKEN_SECONDS, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [namespace]}},
    ]
    return {"name": name, "projected": {"sources": sources, "defaultMode": 420}}


def _tolerations(spec: dict[str, Any]) -> None:
    present = list(spec.get("tolerations") or [])
    for taint in _UNHEALTHY_TAINTS:
        if not any(_covers(toleration, taint) for toleration in present):
            present.append(
                {
                    "key": taint,
                    "operator": "Exists",
                    "effect": "NoExecute",
                    "tolerationSeconds": _UNHEALTHY_SECONDS,
                }
            )
    spec["tolerations"] = present


def _covers(toleration: dict[str, Any], taint: str) -> bool:
    return toleration.get("key") in (None, "", taint) and toleration.get("effect") in (None, "", "NoExecute")


def _priority(core: Core, call: Call, pod: Object, spec: dict[str, Any]) -> None:
    name = spec.get("priorityClassName")
    classes = core.store.list("priorityclasses.scheduling.k8s.io")
    if not name:
        default = next((e.object for e in classes if e.object.get("globalDefault")), None)
        spec.setdefault("priority", default["value"] if default else 0)
        if default:
            spec["priorityClassName"] = default["metadata"]["name"]
        spec.setdefault("preemptionPolicy", (default or {}).get("preemptionPolicy", "PreemptLowerPriority"))
        return
    found = next((e.object for e in classes if e.name == name), None)
    if found is None and name not in _SYSTEM_PRIORITIES:
        raise status.forbidden(
            f'pods "{call.name_for_errors(pod)}" is forbidden: no PriorityClass with name {name} was found',
            call.resource,
            call.name_for_errors(pod),
        )
    spec["priority"] = found["value"] if found else _SYSTEM_PRIORITIES[name]
    spec.setdefault("preemptionPolicy", (found or {}).get("preemptionPolicy", "PreemptLowerPriority"))
