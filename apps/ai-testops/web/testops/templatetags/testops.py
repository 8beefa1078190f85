from __future__ import annotations

import json
from typing import Any

from django import template

register = template.Library()


@register.filter
def as_json(value: Any) -> str:
    """To be read by people; the template escapes it like any other text."""
    return json.dumps(value, indent=2, ensure_ascii=False)


@register.filter
def pairs(value: Any) -> list[tuple[str, Any]]:
    """Names with values. In a template `value.items` would be the header `items`, if somebody sent one."""
    return list(value.items()) if isinstance(value, dict) else []
