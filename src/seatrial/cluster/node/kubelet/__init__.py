"""The kubelet: pods of this node, from a specification to running containers and back to nothing.

records      a container over its restarts            restarts    whether it runs again, and when (pure)
environment, users, security, limits, names   a container's configuration, from the specification (pure)
container    one container: image, start, hooks, end, again
pod          one pod: sandbox, volumes, containers in order, termination
status       what the API is told of it (pure)        kubelet     all pods of the node
"""
