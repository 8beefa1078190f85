"""Values of a Helm job, merged as `helm template` merges them: files, then `--set`, `--set-string`, `--set-file`.

Helm itself does the reading; only what it can do to its own maps alone is done here. One difference has to be made up
for: integers given by `--set` are integers to Helm, and numbers in JSON, in which the library takes values, are floats
(1000000 would print as 1e+06). `integers` names them, and `exact` makes them integers again before any template runs.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import orjson

from seatrial.gitops.render.job import JobFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seatrial.gitops.render.job import Helm, Parameter

Path = tuple[str, ...]


def merged(job: Helm, helm: Any) -> tuple[dict[str, Any], list[tuple[Path, Any]]]:
    """The values, and the integers (or lists of them) that parameters gave. Raises JobFailed."""
    values: dict[str, Any] = {}
    for file in job.values:
        try:
            values = _overlaid(values, helm.values_from_yaml(file.content.decode("utf-8-sig")))
        except (helm.HelmError, UnicodeDecodeError) as error:
            raise JobFailed(f"values {file.file}: {_said(error)}") from None
    integers: dict[Path, Any] = {}
    typed = [parameter for parameter in job.parameters if not parameter.is_text]
    for parameter in [*typed, *(parameter for parameter in job.parameters if parameter.is_text)]:
        parsed = _parsed(parameter, helm)
        is_list = parameter.value.startswith("{") and parameter.value.endswith("}")
        values = _set(values, parsed, is_list)
        for path, value in _leaves(parsed):
            integers.pop(path, None)
            if not parameter.is_text and _is_integral(value):
                integers[path] = value
    for file in job.file_parameters:
        text = file.content.decode(errors="replace")
        parsed = helm.parse_set_string_values(f"{file.file}=x")
        values = _set(values, _replaced(parsed, text), False)
    return values, list(integers.items())


def exact(integers: list[tuple[Path, Any]]) -> bytes:
    """A template that comes first, prints nothing, and makes integers of them wherever they arrived as floats."""
    lines = ['{{- define "seatrial.exact" }}']
    for path, value in integers:
        ways = ["$"]
        for name in path[:-1]:
            ways.append(f"(get {ways[-1]} {_quoted(name)})")
        wrapped = "".join(
            f'{{{{- if kindIs "map" {way} }}}}{{{{- if hasKey {way} {_quoted(name)} }}}}'
            for way, name in zip(ways, path, strict=True)
        )
        last, name = ways[-1], _quoted(path[-1])
        held = f"(get {last} {name})"
        lines.append(
            f"{wrapped}{{{{- if eq (toJson {held}) {_quoted(_as_held(value))} }}}}"
            f"{{{{- $_ := set {last} {name} {_literal(value)} }}}}{{{{- end }}}}{'{{- end }}{{- end }}' * len(path)}"
        )
    lines.append("{{- end }}")
    # Parents hand `global` down as copies, one to each chart below.
    lines.append('{{- define "seatrial.everywhere" }}{{- if kindIs "map" .Values }}')
    lines.append('{{- include "seatrial.exact" .Values }}{{- end }}')
    lines.append('{{- range .Subcharts }}{{- include "seatrial.globals" . }}{{- end }}{{- end }}')
    lines.append('{{- define "seatrial.globals" }}{{- if hasKey .Values "global" }}')
    lines.append('{{- include "seatrial.exact" (dict "global" .Values.global) }}{{- end }}')
    lines.append('{{- range .Subcharts }}{{- include "seatrial.globals" . }}{{- end }}{{- end }}')
    lines.append('{{- include "seatrial.everywhere" . }}')
    return "\n".join(lines).encode()


def _parsed(parameter: Parameter, helm: Any) -> dict[str, Any]:
    parse = helm.parse_set_string_values if parameter.is_text else helm.parse_set_string
    try:
        found: dict[str, Any] = parse(f"{parameter.name}={escaped(parameter.value)}")
    except helm.HelmError as error:
        raise JobFailed(f"parameter {parameter.name}: {_said(error)}") from None
    return found


def escaped(value: str) -> str:
    """Commas that are not escaped yet belong to the value; `{a,b}` is a list."""
    if value.startswith("{") and value.endswith("}"):
        return value
    out: list[str] = []
    for at, char in enumerate(value):
        out.append("\\," if char == "," and value[at - 1 : at] != "\\" else char)
    return "".join(out)


def _overlaid(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        held = result.get(key)
        result[key] = _overlaid(held, value) if isinstance(held, dict) and isinstance(value, dict) else value
    return result


def _set(base: Any, parsed: Any, is_list: bool) -> Any:
    """One parsed parameter over what is there. A list comes from an index, and its last item is what was set, unless
    the value itself is a list."""
    if isinstance(parsed, dict):
        result = dict(base) if isinstance(base, dict) else {}
        for key, value in parsed.items():
            result[key] = _set(result.get(key), value, is_list)
        return result
    if not isinstance(parsed, list) or not parsed or _is_whole_list(parsed, is_list):
        return parsed
    held = list(base) if isinstance(base, list) else []
    held += [None] * (len(parsed) - len(held))
    held[len(parsed) - 1] = _set(held[len(parsed) - 1], parsed[-1], is_list)
    return held


def _is_whole_list(parsed: list[Any], is_list: bool) -> bool:
    return is_list and not any(isinstance(item, dict | list) for item in parsed)


def _leaves(parsed: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if isinstance(parsed, dict) and parsed:
        for key, value in parsed.items():
            yield from _leaves(value, (*path, key))
    elif path:
        yield path, parsed


def _is_integral(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and any(_is_number(item) for item in value) and all(_is_plain(item) for item in value)
    return _is_number(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_plain(value: Any) -> bool:
    return _is_number(value) or isinstance(value, str | bool)


def _as_held(value: Any) -> str:
    """What Go's toJson makes of it once it went through a float."""
    if isinstance(value, list):
        return f"[{','.join(_as_held(item) for item in value)}]"
    return str(int(Decimal(repr(float(value))))) if _is_number(value) else orjson.dumps(value).decode()


def _literal(value: Any) -> str:
    if isinstance(value, list):
        return f"(list {' '.join(_literal(item) for item in value)})"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"(int64 {value})" if isinstance(value, int) else _quoted(value)


def _quoted(text: str) -> str:
    """A Go string. JSON's escapes are a part of Go's."""
    return orjson.dumps(text).decode()


def _replaced(parsed: Any, text: str) -> Any:
    if isinstance(parsed, dict):
        return {key: _replaced(value, text) for key, value in parsed.items()}
    if isinstance(parsed, list):
        return [_replaced(value, text) if value is not None else None for value in parsed]
    return text


def _said(error: Exception) -> str:
    return str(getattr(error, "detail", "") or error)
