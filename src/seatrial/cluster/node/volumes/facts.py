"""What the kubelet knows of a pod's place when it asks for volumes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PodFacts:
    pod_address: str = ""
    host_address: str = ""
