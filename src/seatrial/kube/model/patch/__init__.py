"""The four ways to say "change this object", each a pure function of dicts.

`json_patch` (RFC 6902), `merge` (RFC 7386), `strategic` (Kubernetes' own, driven by the schema) and `apply`
(server-side apply and the tracking of who owns which field). The API server picks one by content type.
"""
