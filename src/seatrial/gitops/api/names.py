"""Annotations, labels, finalizers and names that Argo CD gives a meaning, and ours under `seatrial.dev/`."""

from __future__ import annotations

GROUP = "argoproj.io"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
CONTROL_NAMESPACE = "argocd"
IN_CLUSTER = "https://kubernetes.default.svc"
"""How a destination names the cluster the controller itself works for (also by the name `in-cluster`)."""
FIELD_MANAGER = "argocd-controller"

TRACKING_ID = "argocd.argoproj.io/tracking-id"
REFRESH = "argocd.argoproj.io/refresh"
HOOK = "argocd.argoproj.io/hook"
HOOK_DELETE_POLICY = "argocd.argoproj.io/hook-delete-policy"
SYNC_WAVE = "argocd.argoproj.io/sync-wave"
SYNC_OPTIONS = "argocd.argoproj.io/sync-options"
COMPARE_OPTIONS = "argocd.argoproj.io/compare-options"
IGNORE_HEALTHCHECK = "argocd.argoproj.io/ignore-healthcheck"
DELETION_APPROVED = "argocd.argoproj.io/deletion-approved"
SKIP_RECONCILE = "argocd.argoproj.io/skip-reconcile"
SECRET_TYPE = "argocd.argoproj.io/secret-type"

HOOK_FINALIZER = "argocd.argoproj.io/hook-finalizer"
RESOURCES_FINALIZER = "resources-finalizer.argocd.argoproj.io"

HELM_HOOK = "helm.sh/hook"
HELM_HOOK_WEIGHT = "helm.sh/hook-weight"
HELM_HOOK_DELETE_POLICY = "helm.sh/hook-delete-policy"
HELM_RESOURCE_POLICY = "helm.sh/resource-policy"

SKIPPED_REVISION = "seatrial.dev/skipped-revision"
"""On an Application: the revision a rollback left; automated sync waits for a newer one."""
SELF_HEAL_DELAY = "seatrial.dev/self-heal-delay"
"""On an Application: seconds between a drift and its repair (default 1)."""
