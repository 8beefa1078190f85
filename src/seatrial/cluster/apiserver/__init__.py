"""The API server: a Request and a User go in, an Answer comes out.

`app` speaks HTTP and finds out who is asking; `api` finds out what is asked and whether it is allowed; `verbs/` and
`subresources/` do it, on kinds described by `catalog`, against the store. Nothing here starts a pod or a controller.
"""
