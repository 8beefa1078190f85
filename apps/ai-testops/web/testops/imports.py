"""An API description becomes a Specification of a project."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from django.conf import settings

from config import metrics
from groundwork.addresses import AddressPolicy
from specifications.document import MAX_BYTES, InvalidSpecification, ParsedSpecification, parse
from specifications.fetch import fetch
from testops.errors import Refusal
from testops.models import Specification

if TYPE_CHECKING:
    from django.core.files.uploadedfile import UploadedFile

    from testops.models import Project

log = logging.getLogger(__name__)
LONGEST_ORIGIN = 1000


def from_file(project: Project, file: UploadedFile) -> tuple[Specification, bool]:
    """The specification, and whether it is new to the project."""
    # One byte more than allowed is enough to be refused for its size.
    return _import(project, "file", file.name, lambda: file.read(MAX_BYTES + 1))


def from_url(project: Project, url: str) -> tuple[Specification, bool]:
    if "@" in url.partition("://")[2].partition("/")[0]:
        # It would be kept, and shown, as where the description came from.
        raise Refusal("url", "a user name or password has no place in it")
    policy = AddressPolicy(settings.TARGET_ALLOWED_HOSTS)
    return _import(project, "url", url, lambda: fetch(url, policy))


def _import(project: Project, field: str, origin: str, read) -> tuple[Specification, bool]:
    try:
        parsed = _parse(read())
    except InvalidSpecification as error:
        metrics.IMPORTS.labels("refused").inc()
        raise Refusal(field, str(error)) from None
    specification, created = Specification.objects.get_or_create(
        project=project,
        digest=parsed.digest,
        defaults={
            "title": parsed.title,
            "version": parsed.version,
            "format": parsed.format,
            "origin": origin[:LONGEST_ORIGIN],
            "document": parsed.document,
        },
    )
    metrics.IMPORTS.labels("new" if created else "known").inc()
    return specification, created


def _parse(content: bytes) -> ParsedSpecification:
    try:
        parsed = parse(content)
    except InvalidSpecification:
        raise
    except (AttributeError, TypeError, KeyError, IndexError, ValueError, RecursionError) as error:
        # Something has another form than the standard says, where nobody looked.
        log.warning("a description that could not be read: %r", error)
        raise InvalidSpecification(
            f"a part of the description has not the form the standard gives it ({type(error).__name__}: {error})"[:300]
        ) from error
    if (reason := unstorable(parsed.document)) is not None:
        raise InvalidSpecification(reason)
    return parsed


def unstorable(value: Any) -> str | None:
    """Why PostgreSQL could not keep it: its JSON knows no NUL, no half characters and no infinity."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode()
    except UnicodeEncodeError:
        return "it contains half of a surrogate pair, which is no character"
    except (ValueError, TypeError, RecursionError) as error:
        return f"it contains a value JSON does not know: {error}"
    return "it contains the character NUL" if "\\u0000" in text.replace("\\\\", "") else None
