"""Requests larger than anything anyone needs to send are not read at all."""

from __future__ import annotations

from django.conf import settings
from django.http import JsonResponse


class BodyLimitMiddleware:
    """Without a Content-Length Django reads nothing, so what is announced is all there can be."""

    def __init__(self, get_response):
        self._get_response = get_response

    def __call__(self, request):
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isdecimal() and int(length) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
            answer = JsonResponse({"detail": f"the request is larger than {limit} bytes"}, status=413)
            answer["Connection"] = "close"
            return answer
        return self._get_response(request)
