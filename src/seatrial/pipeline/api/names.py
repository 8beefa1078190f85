"""Group, labels and names of what the pipeline keeps in the cluster."""

from __future__ import annotations

GROUP = "seatrial.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "PipelineRun"
CONTROL_NAMESPACE = "argocd"
FIELD_MANAGER = "seatrial-pipeline"

REPOSITORY = f"{GROUP}/repository"
"""Label of a PipelineRun."""
SECRETS_OF = f"{GROUP}/secrets-of"
"""Label of Secrets (and ConfigMaps) whose keys a repository's workflows see as `secrets` (and `vars`)."""
ACCESS_SECRET = "seatrial-pipeline"
"""In the control namespace: `url`, `username` and `password` of the git server and of the logs."""
SECRET_TYPE, CREDENTIALS = "argocd.argoproj.io/secret-type", "repo-creds"
"""That label makes it what Argo CD uses for every repository below the URL."""

QUEUED, IN_PROGRESS, COMPLETED = "queued", "in_progress", "completed"
SUCCESS, FAILURE, CANCELLED, SKIPPED = "success", "failure", "cancelled", "skipped"
TIMED_OUT, STARTUP_FAILURE = "timed_out", "startup_failure"
CONCLUSIONS = (SUCCESS, FAILURE, CANCELLED, SKIPPED, TIMED_OUT, STARTUP_FAILURE)

RUNNER_LOST = "RunnerLost"
"""Reason of a run whose runner was killed."""
