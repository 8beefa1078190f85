"""aquasecurity/trivy-action, by `seatrial image scan`: trivy itself where it is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seatrial.pipeline.actions.step import StepFailed, within

if TYPE_CHECKING:
    from seatrial.pipeline.actions.step import Step

_FORMATS = ("table", "json", "sarif")


def trivy_main(step: Step) -> int:
    kind, format = step.text("scan-type") or "image", step.text("format") or "table"
    if format not in _FORMATS:
        raise StepFailed(f"format '{format}': expected one of {', '.join(_FORMATS)}")
    if kind == "image":
        what = (
            ["--archive", str(within(step.workspace, step.text("input")))]
            if step.text("input")
            else [step.needed("image-ref")]
        )
    elif kind in ("fs", "rootfs"):
        what = ["--rootfs", str(within(step.workspace, step.text("scan-ref") or "."))]
    else:
        raise StepFailed(f"scan-type '{kind}': expected image, fs or rootfs")
    made = ["--format", format]
    if severity := step.text("severity"):
        made += ["--severity", severity]
    if step.flag("ignore-unfixed"):
        made.append("--ignore-unfixed")
    if code := step.text("exit-code"):
        made += ["--exit-code", code]
    if name := step.text("output"):
        made += ["--output", str(within(step.workspace, name))]
    return step.seatrial("image", "scan", *made, *what)
