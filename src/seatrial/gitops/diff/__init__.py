"""Git's manifests against the cluster's objects: what a sync would change, and how to show it."""
