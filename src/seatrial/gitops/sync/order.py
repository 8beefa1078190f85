"""The order of tasks: phase, wave, rank of the kind, name; then nothing before what it lives in or is defined by."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from seatrial.gitops.sync.hooks import PHASES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seatrial.gitops.sync.tasks import Task
    from seatrial.kube.model.objects import Ref

_KINDS = (
    "Namespace", "NetworkPolicy", "ResourceQuota", "LimitRange", "PodSecurityPolicy", "PodDisruptionBudget",
    "ServiceAccount", "Secret", "SecretList", "ConfigMap", "StorageClass", "PersistentVolume", "PersistentVolumeClaim",
    "CustomResourceDefinition", "ClusterRole", "ClusterRoleList", "ClusterRoleBinding", "ClusterRoleBindingList",
    "Role", "RoleList", "RoleBinding", "RoleBindingList", "Service", "DaemonSet", "Pod", "ReplicationController",
    "ReplicaSet", "Deployment", "HorizontalPodAutoscaler", "StatefulSet", "Job", "CronJob", "IngressClass", "Ingress",
    "APIService",
)  # fmt: skip
_RANKS = {kind: rank for rank, kind in enumerate(_KINDS)}
_PHASES = {phase: rank for rank, phase in enumerate(PHASES)}


def ordered(tasks: Iterable[Task]) -> list[Task]:
    return _hoisted(sorted(tasks, key=order_key))


def order_key(task: Task) -> tuple[int, int, int, str, Ref]:
    rank = _RANKS.get(task.ref.kind, len(_KINDS))
    return (_PHASES.get(task.phase, len(PHASES)), task.wave, rank, task.ref.name, task.ref)


def _hoisted(tasks: list[Task]) -> list[Task]:
    """A Namespace or definition that comes after the first that needs it moves right before that one."""
    for moved in [task for task in tasks if task.target is not None and _provides(task)]:
        place = tasks.index(moved)
        first = next((at for at, task in enumerate(tasks[:place]) if _needs(task, moved)), None)
        if first is not None:
            del tasks[place]
            tasks.insert(first, replace(moved, phase=tasks[first].phase, wave=tasks[first].wave))
    return tasks


def _provides(task: Task) -> bool:
    return is_namespace(task.ref) or is_definition(task.ref)


def _needs(task: Task, provider: Task) -> bool:
    if task.target is None or task is provider:
        return False
    if is_namespace(provider.ref):
        return task.ref.namespace == provider.ref.name
    return defines(provider, task.ref)


def is_namespace(ref: Ref) -> bool:
    return (ref.group, ref.kind) == ("", "Namespace")


def is_definition(ref: Ref) -> bool:
    return (ref.group, ref.kind) == ("apiextensions.k8s.io", "CustomResourceDefinition")


def defines(task: Task, ref: Ref) -> bool:
    """Whether this task's CustomResourceDefinition is that of the object's kind."""
    if task.target is None or not is_definition(task.ref):
        return False
    spec = task.target.get("spec") or {}
    return (spec.get("group"), (spec.get("names") or {}).get("kind")) == (ref.group, ref.kind)
