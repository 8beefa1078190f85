"""Ingress: Traefik, unmodified, as a managed part of the node.

It runs in the node's network namespace and sends requests straight to pods; the sockets it serves are opened in the
machine's network and handed to it.

`manifests` is what the cluster must know of it, `account` how it may ask the API server, `fallback` its certificate for
hosts without one, `command` how it is started, `traefik` keeps it running, `follower` waits until it sends requests
where it should. It tries no request twice: a failed one is seen as such.
"""
