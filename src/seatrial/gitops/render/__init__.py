"""Files in, manifests out: Helm, Kustomize, plain directories. Nothing here asks a cluster or the network."""
