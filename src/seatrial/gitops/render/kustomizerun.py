"""One kustomization built by `kubectl kustomize`, in the worker."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

from seatrial.gitops.render import documents
from seatrial.gitops.render.documents import BadDocument, Named
from seatrial.gitops.render.job import JobFailed
from seatrial.gitops.render.scratch import write_tree

if TYPE_CHECKING:
    from pathlib import Path

    from seatrial.gitops.render.job import Kustomize


def run(job: Kustomize, directory: Path) -> list[dict[str, Any]]:
    """Raises JobFailed. Functions, plug-ins and Helm stay off, and no program can be found to run."""
    root, home = directory / "source", directory / "home"
    write_tree(root, job.files)
    home.mkdir()
    environment = {"HOME": str(home), "TMPDIR": str(home), "PATH": "/nonexistent", "KUBECONFIG": "/nonexistent"}
    done = subprocess.run(
        [job.binary, "kustomize", str(root / job.path)],
        cwd=root, capture_output=True, check=False, stdin=subprocess.DEVNULL, env=environment,
    )  # fmt: skip
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().removeprefix("error: ")[:4000]
        raise JobFailed(said.replace(f"{root}/", "").replace(str(root), "."))
    try:
        return documents.objects([Named("kustomize", done.stdout)], strict=False)
    except BadDocument as error:
        raise JobFailed(str(error)) from None
