"""How the API says that something went wrong: {"field": ["message"]}, or {"detail": "message"} about no field."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from django.db import OperationalError
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.views import exception_handler

from testops.errors import Refusal

if TYPE_CHECKING:
    from rest_framework.response import Response

log = logging.getLogger(__name__)


class DatabaseAway(APIException):
    status_code = 503
    default_detail = "the database does not answer, try again in a moment"
    default_code = "database_away"
    wait = 5  # becomes the header Retry-After


def explain(error: Exception, context: dict[str, Any]) -> Response | None:
    if isinstance(error, Refusal):
        error = ValidationError({error.field: [error.message]})
    elif isinstance(error, OperationalError):
        log.error("the database does not answer: %s", str(error).partition("\n")[0])
        error = DatabaseAway()
    return exception_handler(error, context)
