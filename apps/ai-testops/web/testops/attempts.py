"""Guessing passwords is slow: so many wrong ones per name and minute, over all pods, pages and API together.

Counted per name and not per address: behind an Ingress all share one, and what a client says of itself proves nothing.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from math import ceil

from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.utils import timezone

from testops.models import FailedSignIn

ALLOWED = 10
WINDOW = timedelta(minutes=1)


def wait(name: str) -> int:
    """Seconds until this name may be tried again; 0: now."""
    now = timezone.now()
    recent = FailedSignIn.objects.filter(name=_hidden(name), at__gt=now - WINDOW).order_by("-at")
    times = list(recent.values_list("at", flat=True)[:ALLOWED])
    if len(times) < ALLOWED:
        return 0
    return max(1, ceil((times[-1] + WINDOW - now).total_seconds()))


def _note(sender, credentials, **rest) -> None:
    now = timezone.now()
    FailedSignIn.objects.filter(at__lte=now - WINDOW).delete()
    FailedSignIn.objects.create(name=_hidden(str(credentials.get("username", ""))), at=now)


def _forgive(sender, user, **rest) -> None:
    FailedSignIn.objects.filter(name=_hidden(user.get_username())).delete()


def _hidden(name: str) -> str:
    """People type their password into the wrong field: what was typed is not kept."""
    return hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()


def watch() -> None:
    user_login_failed.connect(_note, dispatch_uid="failed-sign-in")
    user_logged_in.connect(_forgive, dispatch_uid="failed-sign-in")
