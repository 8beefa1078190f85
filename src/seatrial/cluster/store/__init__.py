"""Every object of the cluster: in memory to read and watch, in SQLite to survive.

`store` is the front (read, write, wait, subscribe). Behind it: `index` holds the present state, `window` the
recent events, `subscription` a watcher's place in them, `committer` the thread that makes batches durable,
`database` the file. Knows JSON objects and revisions; knows no kind, no HTTP, no rule about what an object may say.
"""
