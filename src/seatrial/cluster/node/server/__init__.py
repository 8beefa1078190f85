"""The node's own server, behind the API server's: logs, sessions, forwarded ports, usage.

server        the routes                              pods          what it asks the kubelet
logs          a container's log files as a stream     stats         usage, sampled
upgrade       from HTTP to a WebSocket or to bytes    spdy          its frames
multiplex     the streams of a SPDY connection        conversation  exec and attach, whatever carries them
channels      them over a WebSocket                   remotecommand them over SPDY, as older clients speak
forward       connections to ports of a pod           changes       of the files of a log
"""
