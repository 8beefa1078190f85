"""Probes: whether a container has started, lives and is ready.

attempt   one try: exec, HTTP, TCP, gRPC        health   the gRPC health protocol
http      requests to containers, hooks' too    probes   the tries of every container, counted
"""
