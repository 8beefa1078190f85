"""Health scripts: what they get, what they may return, and what becomes of hostile ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from seatrial.gitops.api.settings import HealthScript, Settings
from seatrial.gitops.diff.sandbox import Sandbox
from seatrial.gitops.health.checks import Checks, assess
from seatrial.gitops.health.health import Health
from seatrial.gitops.health.lua import Scripts

if TYPE_CHECKING:
    from collections.abc import Iterator

READY = """
hs = {}
hs.status = "Progressing"
if obj.status ~= nil and obj.status.conditions ~= nil then
  for i, condition in ipairs(obj.status.conditions) do
    if condition.type == "Ready" and condition.status == "True" then
      hs.status = "Healthy"
      hs.message = condition.message
    end
  end
end
return hs
"""


@pytest.fixture(scope="module")
def scripts() -> Iterator[Scripts]:
    with Sandbox() as sandbox:
        yield Scripts(sandbox)


def run(scripts: Scripts, source: str, obj: dict[str, Any] | None = None, *, libraries: bool = False) -> Health | None:
    return scripts.assess(HealthScript(source, libraries), obj or {})


def test_the_object_comes_as_tables(scripts: Scripts) -> None:
    obj = {"status": {"conditions": [{"type": "Ready", "status": "True", "message": "é"}], "gone": None}}
    assert run(scripts, READY, obj) == Health("Healthy", "é")
    assert run(scripts, READY) == Health("Progressing")
    assert run(scripts, "return {status='Healthy', message=tostring(obj.status.gone)}", obj) == Health("Healthy", "nil")


def test_no_result_is_no_health(scripts: Scripts) -> None:
    assert run(scripts, "return nil") is None
    assert run(scripts, "return {}") is None


def test_strings_are_there_only_with_open_libraries(scripts: Scripts) -> None:
    source = "return {status='Healthy', message=string.rep('a', 3)}"
    assert run(scripts, source, libraries=True) == Health("Healthy", "aaa")
    found = run(scripts, source)
    assert found is not None
    assert found.status == "Unknown"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("while true do end", "instructions"),
        ("local t = {} for i = 1, 1e9 do t[i] = i end", "memory"),
        ("return string.rep('x', 1e9)", "memory"),
        ("return 3", "table"),
        ("x(", "script:1"),
        ("return {status='Fine'}", "Fine"),
        ("io.open('/etc/passwd')", "io"),
        ("os.execute('true')", "execute"),
        ("require('io')", "require"),
        ("loadstring('return 1')()", "loadstring"),
        ("python.eval('1')", "python"),
        ("debug.sethook()", "debug"),
        ("coroutine.create(print)", "coroutine"),
        ("error({})", "table"),
        ("string.dump(function() end)", "dump"),
        ("return (getmetatable('').__index)", "script:1"),
    ],
)
def test_a_script_that_is_wrong_or_hostile_is_unknown_with_its_cause(scripts: Scripts, source: str, says: str) -> None:
    found = run(scripts, source, libraries=True)
    assert found is not None
    assert found.status == "Unknown"
    assert says in found.message


def test_what_cannot_be_interrupted_is_ended_and_not_run_again(scripts: Scripts) -> None:
    source = "return string.find(string.rep('a', 50000), string.rep('a-', 50) .. 'b')"
    first, second = (run(scripts, source, libraries=True) for _ in range(2))
    assert first is not None
    assert second is not None
    assert "more than a second of CPU" in first.message
    assert "not run again" in second.message
    assert run(scripts, READY) == Health("Progressing")


def test_an_unchanged_object_keeps_its_health_until_its_version_changes(scripts: Scripts) -> None:
    obj: dict[str, Any] = {"metadata": {"uid": "u", "resourceVersion": "1"}, "n": 1}
    source = "return {status='Healthy', message=tostring(obj.n)}"
    assert run(scripts, source, obj) == Health("Healthy", "1")
    assert run(scripts, source, {**obj, "n": 2}) == Health("Healthy", "1")
    newer = {**obj, "n": 2, "metadata": {"uid": "u", "resourceVersion": "2"}}
    assert run(scripts, source, newer) == Health("Healthy", "2")


def test_scripts_of_the_settings_come_before_the_rule_of_the_kind(scripts: Scripts) -> None:
    data = {
        "resource.customizations.health.v1_ConfigMap": "bad key",
        "resource.customizations.health.ConfigMap": "return {status='Suspended'}",
        "resource.customizations.health.*.example.com_*": "return {status='Degraded', message=obj.kind}",
    }
    checks = Checks(Settings.of({"data": data}), scripts)
    assert assess({"apiVersion": "v1", "kind": "ConfigMap"}, checks) == Health("Suspended")
    assert assess({"apiVersion": "db.example.com/v1", "kind": "Store"}, checks) == Health("Degraded", "Store")
    assert assess({"apiVersion": "v1", "kind": "Secret"}, checks) is None
