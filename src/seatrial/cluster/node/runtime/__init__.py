"""Pods as processes of this machine: namespaces, overlay roots, an OCI runtime, cgroups.

types        what a sandbox and a container are to be, how one has ended, what it uses
oci          the one the kubelet speaks to: makes, starts, signals, removes them and tells of ends
spec         a container as an OCI configuration (with seccomp, capabilities, machine: what may be given)
engine       calls of crun or runc; processes starts and reaps whatever runs
sandboxes    namespaces of pods, held by what pause makes; roots and cgroups: file systems and limits
container    a living container's streams: logs, sessions (exec, attach), streams under them; members by /proc
kernel       calls of Linux that Python lacks
"""
