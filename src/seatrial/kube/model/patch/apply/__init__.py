"""Server-side apply: who owns which field, and what happens when two want the same one.

`fieldset` is the set of field paths an owner has, `extract` finds such sets in objects, `merging` combines and
prunes objects along the schema, `entries` reads and writes `metadata.managedFields`, and `managed` holds the two
operations the API server calls: `apply` and `updated`.

The rules are those of Kubernetes' structured merge and of "Server-Side Apply" in its reference.
"""
