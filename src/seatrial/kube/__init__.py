"""Kubernetes vocabulary in three rings, each importing only those before it: `model`, `client`, `control`."""
