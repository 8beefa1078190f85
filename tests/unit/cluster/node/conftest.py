"""The controllers' world, for a node at work."""

from __future__ import annotations

from tests.unit.cluster.controllers.conftest import world

__all__ = ["world"]
