"""Checks: which rule says how an object is. `assess` is the one door to them.

A deleted object is Progressing whatever its kind; then a script of the settings; then the rule of the kind. A kind
without a rule has no health: it never holds anything up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.gitops.api import names
from seatrial.gitops.health import (
    apiservice,
    application,
    autoscaler,
    cronjob,
    daemonset,
    definition,
    deployment,
    ingress,
    job,
    persistentvolumeclaim,
    pod,
    replicaset,
    service,
    statefulset,
    workflow,
)
from seatrial.gitops.health.health import PROGRESSING, UNKNOWN, Health
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from collections.abc import Callable

    from seatrial.gitops.api.settings import HealthScript, Settings
    from seatrial.gitops.health.lua import Scripts
    from seatrial.kube.model.objects import Object

_RULES: dict[tuple[str, str], Callable[[Object], Health]] = {
    ("apps", "Deployment"): deployment.assess,
    ("apps", "StatefulSet"): statefulset.assess,
    ("apps", "DaemonSet"): daemonset.assess,
    ("apps", "ReplicaSet"): replicaset.assess,
    ("", "Pod"): pod.assess,
    ("", "PersistentVolumeClaim"): persistentvolumeclaim.assess,
    ("", "Service"): service.assess,
    ("networking.k8s.io", "Ingress"): ingress.assess,
    ("extensions", "Ingress"): ingress.assess,
    ("autoscaling", "HorizontalPodAutoscaler"): autoscaler.assess,
    ("batch", "Job"): job.assess,
    ("batch", "CronJob"): cronjob.assess,
    ("apiregistration.k8s.io", "APIService"): apiservice.assess,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): definition.assess,
    (names.GROUP, "Workflow"): workflow.assess,
    (names.GROUP, "Application"): application.assess,
}


class Checks:
    """The rules of the kinds, and the scripts of one state of the settings before them."""

    def __init__(self, settings: Settings | None = None, scripts: Scripts | None = None) -> None:
        """Without `scripts` those of the settings are not run, and objects of their kinds are Unknown."""
        self._settings = settings
        self._scripts = scripts
        self._chosen: dict[tuple[str, str], HealthScript | None] = {}

    def script(self, group: str, kind: str) -> HealthScript | None:
        if self._settings is None or not self._settings.health:
            return None
        key = (group, kind)
        if key not in self._chosen:
            self._chosen[key] = self._settings.health_script(group, kind)
        return self._chosen[key]

    def run(self, script: HealthScript, obj: Object) -> Health | None:
        if self._scripts is None:
            return Health(UNKNOWN, "there is a health script for this kind, and nothing to run it")
        return self._scripts.assess(script, obj)


DEFAULT = Checks()


def assess(obj: Object, checks: Checks = DEFAULT) -> Health | None:
    """The health of a live object; None: nothing is known about its kind."""
    if objects.is_deleting(obj) and names.HOOK_FINALIZER not in objects.finalizers(obj):
        return Health(PROGRESSING, "it is being deleted")
    group = objects.split_api_version(obj.get("apiVersion") or "")[0]
    kind = obj.get("kind") or ""
    script = checks.script(group, kind)
    if script is not None:
        return checks.run(script, obj)
    rule = _RULES.get((group, kind))
    return rule(obj) if rule is not None else None
