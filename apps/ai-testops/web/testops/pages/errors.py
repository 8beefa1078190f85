"""What is shown when there is nothing to show. Rendered without the database, which may be what is missing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from django.db import InterfaceError, OperationalError
from django.http import HttpResponse, JsonResponse
from django.template.loader import render_to_string

if TYPE_CHECKING:
    from django.http import HttpRequest

RETRY_AFTER = "5"


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, 404, "there is nothing at this address")


def failed(request: HttpRequest) -> HttpResponse:
    if isinstance(sys.exception(), (OperationalError, InterfaceError)):
        answer = _answer(request, 503, "the database does not answer, try again in a moment")
        answer["Retry-After"] = RETRY_AFTER
        return answer
    return _answer(request, 500, "something went wrong, and was noted")


def _answer(request: HttpRequest, status: int, detail: str) -> HttpResponse:
    if request.path.startswith("/api/"):
        return JsonResponse({"detail": detail}, status=status)
    return HttpResponse(render_to_string(f"{status}.html"), status=status)
