"""The network of the pods: addresses, Services, names and policies, all inside the node's network namespace."""
