"""The embedded Kubernetes. It knows nothing of GitOps; only the supervisor imports it, through `server`."""
