"""The node as a process: into its namespaces, then kubelet, network and ingress wired together (decision 0005)."""
