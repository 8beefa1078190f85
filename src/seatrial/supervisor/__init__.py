"""What `seatrial up` starts, watches and stops: one instance is one data directory.

`instance` knows the directory, `supervisor` runs the parts, `component` is one of them as a child process,
`cluster_process` is what the cluster's child runs.
"""
