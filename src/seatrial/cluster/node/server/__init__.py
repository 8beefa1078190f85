"""The node's own server, behind the API server's: logs, sessions, forwarded ports, usage.

server    the routes                          pods      what it asks the kubelet
logs      a container's log files as a stream  channels  exec and attach over a WebSocket
spdy      frames, as port-forward tunnels them forward   connections to ports of a pod
stats     usage, sampled
"""
