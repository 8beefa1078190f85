"""Seatrial takes a GitOps repository on a sea trial: see README.md and docs/architecture.md."""

__version__ = "0.1.0"
