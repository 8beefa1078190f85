"""Garbage collection: what lives only for its owners goes when they do.

`plan` decides, purely; `monitors` knows who owns whom, in every resource; `collector` carries the decisions out.
"""

from __future__ import annotations

from seatrial.cluster.controllers.garbagecollector.collector import build

__all__ = ["build"]
