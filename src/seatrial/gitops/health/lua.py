"""Health by the Lua scripts of the settings, in Argo CD's form: `obj` in, `{status, message}` out.

They run in the sandbox. What an unchanged object got is remembered, unless the script asks for the time.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from seatrial.gitops.diff.sandbox import SandboxFailed, ScriptFailed
from seatrial.gitops.health.health import ORDER, UNKNOWN, Health
from seatrial.kube.model import objects

if TYPE_CHECKING:
    from seatrial.gitops.api.settings import HealthScript
    from seatrial.gitops.diff.sandbox import Sandbox
    from seatrial.kube.model.objects import Object

_REMEMBERED = 20_000
_CLOCK = re.compile(r"\bos\b")
_Known = tuple["HealthScript", str, Health | None]


class Scripts:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._known: dict[str, _Known] = {}

    def assess(self, script: HealthScript, obj: Object) -> Health | None:
        """None if the script returns nothing. A script that fails makes the object Unknown, and says why."""
        uid, version = objects.uid(obj), objects.metadata(obj).get("resourceVersion") or ""
        known = self._known.get(uid)
        if known is not None and known[0] == script and known[1] == version:
            return known[2]
        try:
            health = self._run(script, obj)
        except SandboxFailed as error:
            return Health(UNKNOWN, f"the health script could not be run: {error.message}")
        if uid and version and _CLOCK.search(script.source) is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[uid] = (script, version, health)
        return health

    def _run(self, script: HealthScript, obj: Object) -> Health | None:
        try:
            found = self._sandbox.assess_by_lua(script.source, obj, open_libraries=script.open_libraries)
        except ScriptFailed as error:
            return Health(UNKNOWN, f"the health script failed: {error.message}")
        if not found:
            return None
        for status in ORDER:
            if status == found["status"]:
                return Health(status, found["message"])
        return Health(UNKNOWN, f"the health script returned {found['status']!r}: expected one of {', '.join(ORDER)}")
