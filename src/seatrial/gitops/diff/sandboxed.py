"""The other side of `sandbox`: a process of its own that runs jq expressions and Lua scripts of strangers.

It is started as a file, not as a module: nothing of the program is in it. Before the first request it gives up opening
files and sockets and starting processes, and bounds its memory; each request gets a bounded time of CPU, after which
the kernel ends the process, wherever it is.

Requests and answers are frames: four bytes of length, then JSON.
"""

from __future__ import annotations

import os
import resource
import signal
import struct
import sys
from typing import Any

import jq
import lupa.lua51 as lua
import orjson

CPU_SECONDS = 1.0
MEMORY = 512 * 1024 * 1024
"""Address space of the whole process."""
LUA_MEMORY = 32 * 1024 * 1024
LUA_INSTRUCTIONS = 10_000_000
_PROGRAMS = 256
_LONGEST_MESSAGE = 2000

# Lua 5.1, as Argo CD's scripts expect it. The runtime's own globals are not in the script's reach: it gets a new table.
_PRELUDE = """
local open, limit = ...
local base = {'assert', 'error', 'ipairs', 'next', 'pairs', 'pcall', 'rawequal', 'rawget', 'rawset', 'select',
              'setmetatable', 'tonumber', 'tostring', 'type', 'unpack', 'xpcall', '_VERSION'}
local function copy(from, names)
  local made = {}
  if names then for _, name in ipairs(names) do made[name] = from[name] end
  else for name, value in pairs(from) do made[name] = value end end
  return made
end
local env = copy(_G, base)
env.table = copy(table)
env.os = copy(os, {'time', 'date', 'difftime', 'clock'})
local strings = getmetatable('')
strings.__metatable = false
if open then
  env.string = copy(string)
  env.string.dump = nil
  env.math = copy(math)
  strings.__index = env.string
else
  strings.__index = nil
end
local meta = getmetatable
env.getmetatable = function(value) if type(value) == 'string' then return nil end return meta(value) end
env.print = function() end
env.require = function(name)
  if name == 'os' then return env.os end
  error('require: there are no modules here, only os', 2)
end
env._G = env
local compile, bind, hook, byte = loadstring, setfenv, debug.sethook, string.byte
return function(source, obj)
  if byte(source, 1) == 27 then return nil, 'a script is text, not compiled code' end
  local script, problem = compile(source, '=script')
  if script == nil then return nil, problem end
  env.obj = obj
  bind(script, env)
  hook(function() error('the script runs for more than ' .. limit .. ' instructions', 0) end, '', limit)
  local ok, result = pcall(script)
  hook()
  if not ok then return nil, tostring(result) end
  if result == nil then return 'none' end
  if type(result) ~= 'table' then return nil, 'the script has to return a table, not a ' .. type(result) end
  local status, message = rawget(result, 'status'), rawget(result, 'message')
  if status == nil and message == nil and next(result) == nil then return 'none' end
  return 'health', tostring(status), message ~= nil and tostring(message) or ''
end
"""

_programs: dict[str, Any] = {}


def run_jq(request: dict[str, Any]) -> dict[str, Any]:
    """`{expression, object}` -> `{object}` or `{error}`. An expression has to make exactly one object of one."""
    expression = request["expression"]
    program = _programs.get(expression)
    if program is None:
        if len(_programs) >= _PROGRAMS:
            _programs.clear()
        program = _programs[expression] = jq.compile(expression)
    found = iter(program.input_text(orjson.dumps(request["object"]).decode()))
    result = next(found, None)
    if not isinstance(result, dict) or next(found, None) is not None:
        return {"error": "the expression has to make one object of one object"}
    return {"object": result}


def run_lua(request: dict[str, Any]) -> dict[str, Any]:
    """`{script, open, object}` -> `{}` (no health), `{status, message}` or `{error}`."""
    runtime = lua.LuaRuntime(
        register_eval=False, register_builtins=False, unpack_returned_tuples=True, max_memory=LUA_MEMORY,
        encoding="utf-8", attribute_filter=_nothing,
    )  # fmt: skip
    run = runtime.execute(_PRELUDE, request["open"], LUA_INSTRUCTIONS)
    try:
        table = runtime.table_from(request["object"], recursive=True)
    except OverflowError:
        table = runtime.table_from(_inexact(request["object"]), recursive=True)
    answer = run(request["script"], table)
    outcome, first, *rest = answer if isinstance(answer, tuple) else (answer, None)
    if outcome == "none":
        return {}
    if outcome == "health":
        return {"status": first, "message": rest[0][:_LONGEST_MESSAGE]}
    return {"error": str(first)[:_LONGEST_MESSAGE]}


def _inexact(value: Any) -> Any:
    """Lua 5.1 knows floating point only; an integer beyond 63 bits has to be made one here."""
    if isinstance(value, dict):
        return {key: _inexact(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_inexact(item) for item in value]
    return float(value) if type(value) is int else value


def _nothing(_obj: object, _name: object, _setting: bool) -> object:
    raise AttributeError("nothing of Python is to be had here")


_RUNNERS = {"jq": run_jq, "lua": run_lua}


def answer(frame: bytes) -> bytes:
    try:
        request = orjson.loads(frame)
        made = _RUNNERS[request["run"]](request)
        return orjson.dumps(made)
    except MemoryError:
        return orjson.dumps({"error": "it takes too much memory"})
    except Exception as error:
        text = "it takes too much memory" if "LuaMemoryError" in type(error).__name__ else str(error)
        return orjson.dumps({"error": text[:_LONGEST_MESSAGE].encode("utf-8", "replace").decode()})


def confine() -> None:
    _RUNNERS["lua"]({"script": "return {}", "open": True, "object": {}})  # whatever is loaded lazily is loaded now
    _RUNNERS["jq"]({"expression": ".", "object": {}})
    for kind, bound in (
        (resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0), (resource.RLIMIT_NOFILE, 0),
    ):  # fmt: skip
        resource.setrlimit(kind, (bound, bound))


def serve(source: int, sink: int) -> None:
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    with os.fdopen(source, "rb") as requests:
        while head := requests.read(4):
            frame = requests.read(struct.unpack("!I", head)[0])
            signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
            made = answer(frame)
            signal.setitimer(signal.ITIMER_PROF, 0)
            _write(sink, struct.pack("!I", len(made)) + made)


def _write(sink: int, data: bytes) -> None:
    while data:
        data = data[os.write(sink, data) :]


if __name__ == "__main__":
    confine()
    serve(sys.stdin.fileno(), sys.stdout.fileno())
