"""What every layer stands on. Knows nothing of Kubernetes."""
