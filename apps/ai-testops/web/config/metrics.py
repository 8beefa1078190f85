"""What Prometheus reads from /metrics, of all worker processes together."""

from __future__ import annotations

import os
import time

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, multiprocess, registry

REQUESTS = Counter("ai_testops_http_requests_total", "Requests answered", ["method", "view", "status"])
SECONDS = Histogram("ai_testops_http_request_seconds", "Time to answer a request", ["view"])
IMPORTS = Counter("ai_testops_imports_total", "API descriptions imported", ["outcome"])
CASES = Counter("ai_testops_generated_cases_total", "Test cases generated", ["generator", "kind"])
RUNS = Counter("ai_testops_runs_started_total", "Runs started")
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


def exposition() -> bytes:
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(registry.REGISTRY)
    together = CollectorRegistry()
    multiprocess.MultiProcessCollector(together)
    return generate_latest(together)


class MetricsMiddleware:
    def __init__(self, get_response):
        self._get_response = get_response

    def __call__(self, request):
        started = time.perf_counter()
        response = self._get_response(request)
        # The route, not the path: paths hold ids, and would make a series each.
        view = request.resolver_match.route if getattr(request, "resolver_match", None) else "none"
        method = request.method if request.method in METHODS else "other"  # a client may write there what it likes
        REQUESTS.labels(method, view, response.status_code).inc()
        SECONDS.labels(view).observe(time.perf_counter() - started)
        return response
