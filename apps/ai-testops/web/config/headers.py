"""What a browser may load and run on our pages: our own files, nothing inline, nothing from elsewhere."""

from __future__ import annotations

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
DOCS = "/api/docs/"  # Swagger UI styles itself inline


class ContentSecurityPolicyMiddleware:
    def __init__(self, get_response):
        self._get_response = get_response

    def __call__(self, request):
        response = self._get_response(request)
        policy = POLICY
        if request.path.startswith(DOCS):
            policy = POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
        response.headers.setdefault("Content-Security-Policy", policy)
        return response
