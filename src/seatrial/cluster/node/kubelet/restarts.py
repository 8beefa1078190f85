"""Whether a container that ended runs again, and when (pure).

The delay is the kubelet's: none after the first end, then 10 s, doubled each time to 300 s, and from the beginning
again after a run of 10 minutes (KEP-4603's default curve).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seatrial.cluster.node.kubelet.records import Record
    from seatrial.kube.model.objects import Object

FIRST_DELAY, LAST_DELAY = 10.0, 300.0
LONG_RUN = 600.0


def again(record: Record, code: int, pod: Object) -> bool:
    """Whether an end with this exit code is followed by another run."""
    if record.is_sidecar:
        return True
    for rule in record.spec.get("restartPolicyRules") or []:
        if _applies(rule.get("exitCodes") or {}, code):
            return bool(rule.get("action") == "Restart")
    policy = record.spec.get("restartPolicy") or pod["spec"].get("restartPolicy", "Always")
    return policy != "Never" and (code != 0 or (policy != "OnFailure" and not record.is_init))


def _applies(codes: Mapping[str, Any], code: int) -> bool:
    listed = code in (codes.get("values") or [])
    return listed if codes.get("operator") == "In" else not listed if codes.get("operator") == "NotIn" else False


def delay(before: float | None, ran: float) -> float:
    """Seconds from an end to the next start. `before`: the delay before the run that ended, None if it was the first;
    `ran`: how long that took.
    """
    if before is None or ran >= LONG_RUN:
        return 0.0
    return FIRST_DELAY if before == 0.0 else min(LAST_DELAY, before * 2)


def shown(seconds: float) -> str:
    """As Go prints it: `10s`, `1m20s`, `5m0s`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
