"""GitOps: what Git says against what the cluster has, and the way from one to the other.

    sources  where to read: Git, Helm repositories        -> a Revision and the files at it
    render   files -> manifests                           (pure but for the disk cache)
    live     what the cluster has, by watch
    diff     manifests against live objects -> Comparison
    health   live objects -> Health
    sync     Comparison -> a plan -> API calls, resumable
    history  what was deployed when, and the way back
    controller   one pass over one Application: resolve, render, compare, decide, act, write status

It speaks to a cluster through `kube.client` alone, and keeps its state in Kubernetes objects: it can be killed at any
moment. The rules are Argo CD 3.x's (docs/argocd-compatibility.md).
"""
