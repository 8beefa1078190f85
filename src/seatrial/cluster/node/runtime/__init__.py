"""Pods as processes of this machine: namespaces, overlay roots, an OCI runtime, cgroups.

types        what a sandbox and a container are to be, how one has ended, what it uses
runtime      the one the kubelet speaks to: makes, starts, signals, removes them and tells of ends
"""
